"""One cell, block, flow or scale that is off breaks the link of torch or of the placed program."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neutrams
from neutrams.driver import Link, verify
from neutrams.driver.image import Image
from neutrams.driver.parity.executors import image_links, interpreted
from neutrams.driver.parity.traces import Trace
from neutrams.ir.diagnostics import NeutramsError
from neutrams.ir.graph import Graph
from neutrams.ir.op import Op
from neutrams.ir.ops.activations import Relu
from neutrams.ir.ops.convolution import Conv
from neutrams.ir.ops.products import Matmul
from neutrams.ir.ops.tensors import Reshape
from neutrams.ir.ops.unit import Rescale
from neutrams.ir.program import Program
from neutrams.ir.types import Array, DType, symbol, tensor

X = np.random.default_rng(5).standard_normal((6, 4, 6, 6)).astype(np.float32)
TORCH, PLACEMENT, CELLS, SIMULATOR = (
    "unit graph → torch executor",
    "unit graph → placement",
    "unit graph → programmed cells",
    "unit graph → simulator",
)
SMALL = {
    "core.rows": 32, "core.columns": 32, "core.crossbars": 1, "tile.cores": 1,
}  # fmt: skip
"""A chip of a crossbar a tile, so that everything flows."""

Arrays = dict[str, Array]
Checked = Callable[[Path], dict[str, Link]]


def network() -> Graph:
    """A strided grouped convolution and a matrix product wider than a crossbar."""
    random = np.random.default_rng(6)
    graph = Graph("net")
    x = graph.input("x", tensor(DType.F32, symbol("N"), 4, 6, 6))
    filters = random.standard_normal((8, 2, 3, 3)).astype(np.float32)
    c = graph.add(
        Conv(x, graph.weight("filters", filters), strides=(2, 2), pads=(1, 0, 1, 2), groups=2),
        name="c",
    )
    r = graph.add(Relu(c), name="r")
    flat = graph.add(Reshape(r, shape=(symbol("N"), 72)), name="flat")
    matrix = random.standard_normal((72, 70)).astype(np.float32)
    h = graph.add(Relu(graph.add(Matmul(flat, graph.weight("m", matrix)), name="h")), name="hr")
    last = random.standard_normal((70, 5)).astype(np.float32)
    graph.output(graph.add(Matmul(h, graph.weight("n", last)), name="y"), "scores")
    return graph


@pytest.fixture(scope="module")
def program() -> Program:
    return neutrams.compile(network(), calibration=X, overrides=SMALL)


@pytest.fixture
def image(program: Program, tmp_path: Path) -> Path:
    neutrams.export(program, tmp_path / "net")
    return tmp_path / "net"


def links(program: Program, **given: Any) -> dict[str, Link]:
    return {link.name: link for link in verify(program, X, retention=0.0, **given).links}


@pytest.fixture(scope="module")
def reference(program: Program) -> dict[str, Array]:
    return interpreted(Trace.of(program.module["main"], inside=True), {"x": X})


@pytest.fixture
def checked(program: Program, reference: dict[str, Array]) -> Checked:
    """Give the two links of an image by name."""

    def check(image: Path) -> dict[str, Link]:
        made = image_links(program, Image.read(image), reference, {"x": X})
        return {link.name: link for link in made}

    return check


def broken(found: dict[str, Link]) -> list[str]:
    return [name for name, link in found.items() if link.state == "broken"]


def changed(image: Path, change: Callable[[dict[str, Any], Arrays], None]) -> Path:
    """Change an image on disk and return its path."""
    file, store = image.with_name("net.json"), image.with_name("net.npz")
    facts, arrays = json.loads(file.read_text()), dict(np.load(store))
    change(facts, arrays)
    file.write_text(json.dumps(facts))
    np.savez(store, **arrays)
    return image


def test_an_image_on_disk_gives_the_same_chain(program: Program, image: Path) -> None:
    fresh, read = links(program), links(program, image=image)
    assert fresh == read
    assert not broken(fresh)
    blocks, flows = 2 + 3 * 9 + 3, json.loads(image.with_name("net.json").read_text())["routes"]
    assert len(flows) > 20
    assert fresh[PLACEMENT].compared > blocks + len(flows)


@pytest.mark.parametrize(
    ("coding", "adc_bits", "mode"),
    [
        ("offset", 9, "clip"),
        ("offset", 4, "clip"),
        ("offset", 4, "scale"),
        ("differential", 8, "scale"),
        ("differential", 4, "clip"),
        ("twos-complement", 8, "clip"),
        ("twos-complement", 5, "scale"),
    ],
)
def test_cells_give_what_every_encoding_means(coding: str, adc_bits: int, mode: str) -> None:
    chip = {
        "core.rows": 32,
        "core.coding": coding,
        "core.adc_bits": adc_bits,
        "core.adc_mode": mode,
    }
    if coding != "offset":
        chip["core.column_flip"] = False
    program = neutrams.compile(network(), calibration=X, overrides=chip)
    reference = interpreted(Trace.of(program.module["main"], inside=True), {"x": X})
    placed, cells = image_links(program, Image.of(program), reference, {"x": X})
    assert (placed.state, cells.state, cells.difference) == ("passed", "passed", 0)
    assert cells.compared > 1000


def test_one_wrong_cell_is_named(checked: Checked, image: Path) -> None:
    def flip(facts: dict[str, Any], arrays: Arrays) -> None:
        arrays["h.mvm/1/cells"][0, 0, 3, 2] ^= 1

    found = checked(changed(image, flip))
    assert broken(found) == [PLACEMENT, CELLS]
    assert found[PLACEMENT].first == found[CELLS].first == "h.mvm"
    assert "block 1" in found[PLACEMENT].note
    facts = json.loads(image.with_name("net.json").read_text())
    low, column = next(u for u in facts["units"] if u["value"] == "h.mvm")["blocks"][1][2::2]
    assert f"weight {low + 3} of neuron {column + 2} is" in found[CELLS].note
    assert found[CELLS].difference > 0


def test_a_wrong_weight_in_cells_and_list_alike_is_named(checked: Checked, image: Path) -> None:
    def change(facts: dict[str, Any], arrays: Arrays) -> None:
        flipped = arrays["c.mvm/0/flipped"][0, 0, 1]
        down = int(arrays["c.mvm/0/cells"][0, 0, 4, 1]) > 0
        level = int(arrays["c.mvm/0/cells"][0, 0, 4, 1])
        arrays["c.mvm/0/cells"][0, 0, 4, 1] = level - 1 if down else level + 1
        arrays["c.mvm/0/weights"][4, 1] += 1 if down == flipped else -1

    found = checked(changed(image, change))
    assert broken(found) == [CELLS]
    assert (found[CELLS].first, found[CELLS].state) == ("c.mvm", "broken")
    assert "weight 4 of neuron 1 is" in found[CELLS].note


def test_swapped_blocks_are_found(checked: Checked, image: Path) -> None:
    def swap(facts: dict[str, Any], arrays: Arrays) -> None:
        unit = next(u for u in facts["units"] if u["value"] == "h.mvm")
        places = unit["blocks"]
        i, j = 0, next(k for k, b in enumerate(places) if b[2] == places[0][2] and b != places[0])
        places[i], places[j] = places[j], places[i]

    found = checked(changed(image, swap))
    assert CELLS in broken(found)
    assert found[CELLS].first == "h.mvm"


def test_swapped_crossbars_send_elsewhere(checked: Checked, image: Path) -> None:
    def swap(facts: dict[str, Any], arrays: Arrays) -> None:
        row = next(u for u in facts["units"] if u["value"] == "h.mvm")["crossbars"][0]
        row[0], row[-1] = row[-1], row[0]

    found = checked(changed(image, swap))
    assert broken(found) == [PLACEMENT]


def drop(facts: dict[str, Any], arrays: Arrays) -> None:
    del facts["routes"][3]


def add(facts: dict[str, Any], arrays: Arrays) -> None:
    known = {(each["source"], each["target"]) for each in facts["routes"]}
    extra = next((s, 0) for s in range(len(facts["tiles"]) - 1, 0, -1) if (s, 0) not in known)
    facts["routes"].append({**facts["routes"][0], "source": extra[0], "target": extra[1]})


def more(facts: dict[str, Any], arrays: Arrays) -> None:
    facts["routes"][0]["bits"] += 1


def bend(facts: dict[str, Any], arrays: Arrays) -> None:
    path = next(each["routers"] for each in facts["routes"] if len(each["routers"]) > 2)
    path[1] = [path[1][0] + 3, path[1][1]]


def twice(facts: dict[str, Any], arrays: Arrays) -> None:
    row = facts["units"][1]["crossbars"][0]
    row[1] = row[0]


def lose(facts: dict[str, Any], arrays: Arrays) -> None:
    facts["units"][1]["crossbars"][0].pop()


def overlap(facts: dict[str, Any], arrays: Arrays) -> None:
    facts["units"][1]["blocks"][1] = facts["units"][1]["blocks"][0]


def homeless(facts: dict[str, Any], arrays: Arrays) -> None:
    facts["digital"][-1]["tiles"] = []


@pytest.mark.parametrize("change", [drop, add, more, bend, twice, lose, overlap, homeless])
def test_a_fault_of_placement_breaks_its_link(
    checked: Checked, image: Path, change: Callable[[dict[str, Any], Arrays], None]
) -> None:
    found = checked(changed(image, change))
    assert PLACEMENT in broken(found)
    assert found[PLACEMENT].note
    if change is not overlap:
        assert broken(found) == [PLACEMENT]
    if change in (drop, more):
        assert found[PLACEMENT].first


def test_a_wrong_scale_is_found_where_it_acts(checked: Checked, image: Path) -> None:
    def rescale(facts: dict[str, Any], arrays: Arrays) -> None:
        lines = facts["program"]
        (index,) = (i for i, line in enumerate(lines) if "@c.rescale :" in line)
        head, _, numbers = lines[index].partition(" = [")
        first, _, rest = numbers.partition(", ")
        lines[index] = f"{head} = [{float(first) * 2:.9g}, {rest}"

    found = checked(changed(image, rescale))
    assert broken(found) == [CELLS]
    assert found[CELLS].first == "r.q"


def test_what_is_no_image_is_refused(checked: Checked, image: Path) -> None:
    def missing(facts: dict[str, Any], arrays: Arrays) -> None:
        del arrays["h.mvm/1/cells"]

    for wrong in (image.with_name("none"), changed(image, missing)):
        with pytest.raises(NeutramsError, match="NT0554"):
            checked(wrong)


def filled_rules() -> dict[type[Op], Any]:
    """Return the table of torch rules, which the executor fills as it loads."""
    import_module("neutrams.training.executor")
    found: dict[type[Op], Any] = import_module("neutrams.training.rules").RULES
    return found


@pytest.mark.parametrize(
    "edit",
    [
        lambda facts: facts.pop("program"),
        lambda facts: facts["units"][0].pop("dac_bits"),
        lambda facts: facts.pop("routes"),
        lambda facts: facts["units"][0]["blocks"][0].__setitem__(1, "a"),
    ],
)
def test_an_image_whose_parts_do_not_fit_is_refused(
    program: Program, image: Path, edit: Callable[[dict[str, Any]], object]
) -> None:
    path = image.with_name(image.name + ".json")
    facts = json.loads(path.read_text())
    edit(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(NeutramsError, match="NT0554"):
        verify(program, {"x": X}, limit=1, image=image)


def test_the_torch_executor_is_really_run(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    table = filled_rules()

    right = table[Rescale]

    def wrong(op: Rescale, run: Any, x: Any, scale: Any) -> Any:
        made = right(op, run, x, scale)
        made.view(-1)[0] += 1
        return made

    monkeypatch.setitem(table, Rescale, wrong)
    found = links(program)
    assert broken(found) == [TORCH]
    assert found[TORCH].first == "r.q"
    assert found[TORCH].difference > 0


def test_what_torch_leaves_to_numpy_is_named_and_not_counted(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    table = filled_rules()

    before = links(program)[TORCH].compared
    monkeypatch.delitem(table, Rescale)
    link = links(program)[TORCH]
    assert link.state == "passed"
    assert "unit.rescale" in link.note
    assert link.compared == before - len(X) * (72 + 70)


def test_an_image_holds_all_that_its_text_names(image: Path) -> None:
    """Scales of more neurons than a line of text lists lie beside the cells."""
    facts = json.loads(image.with_name("net.json").read_text())
    arrays = np.load(image.with_name("net.npz"))
    named = [line.split('external("')[1].split('"')[0] for line in facts["program"]
             if 'external("' in line]  # fmt: skip
    assert any("rescale" in name for name in named)
    assert set(named) <= set(arrays.files)
