"""What a run of the cycle grain leaves behind for other tools: traces and waveforms."""

from __future__ import annotations

from neutrams.simulator.recording.places import Places
from neutrams.simulator.recording.recorder import Recorder, Window
from neutrams.simulator.recording.signals import (
    Signal,
    choose,
    signals_of,
    signals_of_rounds,
)
from neutrams.simulator.recording.trace import DETAILS, Detail, Trace
from neutrams.simulator.recording.vcd import Waveform

__all__ = [
    "DETAILS",
    "Detail",
    "Places",
    "Recorder",
    "Signal",
    "Trace",
    "Waveform",
    "Window",
    "choose",
    "signals_of",
    "signals_of_rounds",
]
