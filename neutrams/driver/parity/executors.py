"""The links of the parity chain that run a program: in torch, from its image, in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from neutrams.driver.image import Image, Unit
from neutrams.driver.parity.image_run import matrix, programmed
from neutrams.driver.parity.links import BROKEN, NOT_RUN, Link, compare
from neutrams.driver.parity.placement import NAME as PLACEMENT
from neutrams.driver.parity.placement import check_placement
from neutrams.driver.parity.traces import Trace, after_loss, exact_values
from neutrams.ir.graph import Graph
from neutrams.ir.interpreter import interpret
from neutrams.ir.op import Weight
from neutrams.ir.ops.time import working_ops
from neutrams.ir.ops.unit_mvm import Mvm
from neutrams.ir.program import Program
from neutrams.ir.types import Array
from neutrams.simulator import run_batched

TORCH = "unit graph → torch executor"
CELLS = "unit graph → programmed cells"
ONNX = "simulator → onnxruntime"
BATCH = 8

Values = Mapping[str, Array]


def interpreted(trace: Trace, inputs: Values) -> dict[str, Array]:
    """Return every value that a trace shows, as the reference interpreter gives it."""
    ran = run_batched(trace.graph, inputs, lambda part: interpret(trace.graph, part), batch=BATCH)
    return trace.values_of(ran.outputs)


def torch_link(trace: Trace, reference: Values, inputs: Values) -> Link:
    """Run in torch what it has a rule for; what is left to NumPy shows nothing, and is named."""
    if find_spec("torch") is None:
        return Link(TORCH, NOT_RUN, note="torch is not installed")
    from neutrams.training.executor import in_numpy, run_graph
    from neutrams.training.run import Run

    how = Run(merging=False, close=True)
    left = {value.name: op for op in in_numpy(trace.graph.ops, how) for value in op.results}
    ran = run_batched(
        trace.graph, inputs, lambda part: run_graph(trace.graph, part, how), batch=BATCH
    )
    made = {k: v for k, v in trace.values_of(ran.outputs).items() if k not in left}
    every = (op for op, _ in working_ops(trace.graph))
    inside = dict.fromkeys(op.name for op in (*left.values(), *in_numpy(every, how)))
    if not made.keys() & reference.keys():
        return Link(TORCH, NOT_RUN, note=f"no rule in torch for {', '.join(inside)}")
    link = compare(TORCH, reference, made, exact=exact_values(trace.graph))
    if not inside or link.note:
        return link
    return replace(link, note=f"left out, without a rule: {', '.join(inside)}")


def image_links(program: Program, image: Image, reference: Values, inputs: Values) -> list[Link]:
    """Check where an image puts everything, then run it from its cells and compare every value."""
    network, units = image.network(), image.units()
    main = program.module["main"]
    if [v.name for v in network.inputs] != [v.name for v in main.inputs]:
        note = "the image is of another network: its inputs differ"
        return [Link(PLACEMENT, NOT_RUN, note=note), Link(CELLS, BROKEN, note=note)]
    placed = check_placement(image, network, units)
    mvms = {op.result.name for op, _ in working_ops(network) if isinstance(op, Mvm)}
    if not mvms:
        return [placed, Link(CELLS, NOT_RUN, note="no unit holds weights")]
    if mvms != units.keys():
        return [placed, Link(CELLS, NOT_RUN, note="the image lacks units")]
    trace = Trace.of(network, inside=True)
    programmed(trace.graph, units)
    found = interpreted(trace, inputs)
    link = compare(CELLS, reference, found, exact=set(reference), whole=reference.keys())
    return [placed, replace(link, note=link.note or _cell(main, units, link.first))]


def _cell(main: Graph, units: Mapping[str, Unit], value: str) -> str:
    """Name the first cell that holds another weight than the unit that makes a value."""
    for op, _ in working_ops(main):
        if op.result.name != value or not isinstance(op, Mvm) or value not in units:
            continue
        assert isinstance(op.w, Weight)
        held, wanted = matrix(units[value], op)[0], op.w.data
        assert wanted is not None
        for neuron, place in np.argwhere(held != wanted).tolist():
            given = f"{held[neuron, place]} in place of {wanted[neuron, place]}"
            return f"weight {place} of neuron {neuron} is {given}"
    return ""


def onnx_link(program: Program, simulated: Values, inputs: Values, path: str | Path | None) -> Link:
    """Compare with the exported model, or an earlier export; lossy converters have no like there.

    Raises:
        NeutramsError: NT0550, an op has no spelling in ONNX; NT0552, the file is no export of
            the program.
    """
    if find_spec("onnxruntime") is None:
        return Link(ONNX, NOT_RUN, note="onnxruntime is not installed")
    from neutrams.driver.onnx import to_onnx
    from neutrams.driver.onnx.session import Session

    main = program.module["main"]
    exported = to_onnx(program, keep=simulated)
    lost = after_loss(main, exported.lossy)
    session = Session.of(program, exported, path)
    if isinstance(session, str):
        return Link(ONNX, BROKEN, note=session)
    found = session.run(inputs)
    kept = {name: array for name, array in simulated.items() if name not in lost}
    if lost and not kept.keys() & found.keys():
        units = ", ".join(exported.lossy)
        return Link(ONNX, NOT_RUN, note=f"the converters of {units} may lose bits; ONNX has none")
    link = compare(ONNX, kept, found, exact=exact_values(main))
    if not lost or link.note:
        return link
    left_out = f"left out {len(lost)} values behind converters that may lose bits"
    return replace(link, note=left_out)
