"""What a chip costs: area and peak power of its parts, and the energy of what happened on it.

Every number comes from the target's own table; nothing here knows a constant.
"""

from neutrams.costs.area import Budget, Part, RollUp, roll_up
from neutrams.costs.energy import Charge, Charged, Entry, Occupancy, charge, charged_events
from neutrams.costs.peak import Peak, peak

__all__ = [
    "Budget",
    "Charge",
    "Charged",
    "Entry",
    "Occupancy",
    "Part",
    "Peak",
    "RollUp",
    "charge",
    "charged_events",
    "peak",
    "roll_up",
]
