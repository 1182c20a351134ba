"""The names of the events a simulator counts and a cost table charges for."""

from __future__ import annotations

EVENTS: dict[str, str] = {
    "crossbar_reads": "one DAC phase on one crossbar, all used columns",
    "cell_writes": "one cell programmed",
    "cell_macs": "one cell, one phase: rows used × columns used × phases × windows",
    "dac_drives": "one row driven for one phase",
    "input_steps": "one step of the DAC on a driven row: digits of inputs, added up",
    "cell_steps": "one such step on one level of a cell: what its current goes with",
    "adc_conversions": "one column sum converted",
    "shift_adds": "one converted sum shifted and added",
    "reduce_adds": "one partial sum of a block added to another block's",
    "input_register_bytes": "bytes written into a core's input registers",
    "output_register_bytes": "bytes written into a core's output registers",
    "buffer_read_bytes": "bytes read from a tile's buffer",
    "buffer_write_bytes": "bytes written to a tile's buffer",
    "bus_bytes": "bytes over the bus between a tile's buffer and its cores",
    "vector_ops": "one element operation of a tile's vector unit",
    "lookups": "one table look-up of a tile's vector unit (sigmoid, exponential and the like)",
    "pool_ops": "one comparison or addition of pooling",
    "router_flits": "one flit through one router",
    "link_flits": "one flit over one link between routers",
    "io_bytes": "bytes on or off the chip",
}

OF_DATA = frozenset(("input_steps", "cell_steps"))
"""Those whose number depends on values; counted only where a target charges for them."""
