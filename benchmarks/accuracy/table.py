"""The page: every figure of the study, and what they are held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean

from benchmarks.accuracy import cases
from benchmarks.accuracy.cases import Bar, Chip, Method
from benchmarks.accuracy.networks import NETWORKS, Network
from benchmarks.accuracy.statistics import Figure, difference, paired
from benchmarks.accuracy.store import Result, unpacked

HEAD = """\
# Accuracy on narrower and narrower chips

Regenerate with `python -m benchmarks.accuracy`; `--table-only` writes the page from stored results.
All networks run on `cim` with crossbars of so many rows, 128 columns and 2-bit cells. Bits are of
weights / activations (what crossbars read; inputs / outputs of units where they differ). ADC bits
are the fewest that lose nothing. The original is the float network in onnxruntime.

- A figure is the mean over {seeds} seeds. A seed chooses the calibration samples, 512 of 3,000
  unlabelled ones where nothing else is said, and is the seed of the compile.
- A loss is original minus chip on the same samples. Behind ± stands twice its paired standard
  error: the losses of a test sample are averaged over seeds, and the deviation of these averages
  over samples is divided by √n. A bar is met when the loss minus twice the error is within it.
- Methods: `none`; `sgd`, gradient descent unit by unit from the rounded weights, as in 2016, with
  the default number of steps; `retrained`, what `--retrain` does; `closed form`, the same without
  gradient descent (`method=gptq`). None sees a label. In digits, in 4 copies: finer numbers than
  a chip's crossbars read or hold at once, for more of them (`--widen`).
- Every matrix is held once: crossbars and cores count no copies for speed.
- Seconds are processor time of one compile, on one core. No process took more than {peak:.1f} GB.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What all seeds of one network, chip and method say together."""

    network: Network
    chip: Chip
    method: Method
    results: Sequence[Result]

    @property
    def factor(self) -> float:
        """From the loss of a sample to the unit of the network's losses."""
        samples: int = self.results[0]["samples"]
        return {"points": 100, "errors": samples, "pixels": 1, "scores": 0}[self.network.kind]

    @property
    def loss(self) -> Figure:
        return paired([unpacked(r["losses"]) for r in self.results]).scaled(self.factor)

    @property
    def shown(self) -> str:
        """The method, and the number of seeds where some are yet to come."""
        count = len(self.results)
        return self.method.name + (
            f" ({count} of {cases.SEEDS} seeds)"
            if count < cases.seeds_of(self.network, self.method)
            else ""
        )

    def beyond(self, other: Row) -> Figure:
        """Return how much more is lost than in another row, over the seeds that both have."""
        if self.network.kind == "scores":
            return Figure(other.mean("correlation") - self.mean("correlation"), 0.0)
        losses = {result["seed"]: unpacked(result["losses"]) for result in other.results}
        mine = {result["seed"]: unpacked(result["losses"]) for result in self.results}
        seeds = [seed for seed in mine if seed in losses]
        return difference([mine[s] for s in seeds], [losses[s] for s in seeds]).scaled(self.factor)

    def mean(self, name: str) -> float:
        return mean(float(result[name]) for result in self.results)

    def meets(self, bar: Bar) -> bool:
        if self.network.kind != "scores":
            return self.loss.within(bar.loss)
        return (
            self.mean("correlation") >= bar.correlation and self.mean("agreement") >= bar.agreement
        )


class Study:
    """Stored results, by row."""

    def __init__(self, stored: Mapping[str, Result]) -> None:
        self.rows: dict[tuple[str, str, str], Row] = {}
        self.faults: dict[tuple[str, str, str], Result] = {}
        self.peak_gb: float = max((r.get("peak_gb", 0) for r in stored.values()), default=0)
        grouped: dict[tuple[Network, Chip, Method], list[Result]] = {}
        for case in cases.cases():
            if case.name in stored:
                found = grouped.setdefault((case.network, case.chip, case.method), [])
                found.append(stored[case.name])
        for (network, chip, method), results in grouped.items():
            key = (network.name, chip.name, method.name)
            done = [result for result in results if result["status"] == "done"]
            if len(done) == len(results):
                self.rows[key] = Row(network, chip, method, done)
            else:
                self.faults[key] = next(r for r in results if r["status"] != "done")

    def row(self, network: Network, chip: Chip, method: Method) -> Row | None:
        return self.rows.get((network.name, chip.name, method.name))


def page(stored: Mapping[str, Result]) -> str:
    """Return the whole page in Markdown."""
    study = Study(stored)
    parts = [HEAD.format(seeds=cases.SEEDS, peak=study.peak_gb)]
    parts += [_part("Bars", _bars(study)), _part("What 4 bits of the input cost", _inputs(study))]
    parts += [_part("Retraining beside the others", _methods(study))]
    parts.append(_part("Input from the transformed or from the original network", _ablation(study)))
    parts.append(_part("Two ways to obey a fan-in", _strategies(study)))
    parts.append(_part("Integer ONNX", _exports(study)))
    parts += [_part(network.name, _network(study, network)) for network in NETWORKS]
    return "\n".join(part for part in parts if part)


def _part(title: str, lines: Iterator[str]) -> str:
    body = list(lines)
    return "\n".join([f"## {title}", "", *body, ""]) if body else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield from ("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def _bars(study: Study) -> Iterator[str]:
    found = []
    for network in NETWORKS:
        for chip, method in product(cases.CHIPS, cases.HELD):
            bar, row = cases.bar(network, chip), study.row(network, chip, method)
            if bar is not None and row is not None:
                verdict = [_loss(row), _bar(network, bar), _met(row.meets(bar))]
                found.append([network.name, chip.name, row.shown, *verdict])
    if found:
        met = sum(row[-1] == "met" for row in found)
        yield f"Retrained: {met} of {len(found)} bars are met.\n"
    yield from _table(["network", "chip", "method", "loss", "at most", "bar"], found)


def _inputs(study: Study) -> Iterator[str]:
    """Tell how much of a bar at 4 bits the input's rounding takes by itself."""
    found = []
    for network in NETWORKS:
        bar = cases.bar(network, cases.NARROW)
        rounded = study.row(network, cases.NARROW, cases.ROUNDED_INPUT)
        if bar is None or rounded is None:
            continue
        learnt = study.row(network, cases.USUAL, cases.NARROW_INPUT)
        rows = [row for row in (rounded, learnt) if row is not None]
        shown = [_loss(row) for row in rows] + [""] * (2 - len(rows))
        within = any(row.meets(bar) for row in rows)
        found.append([network.name, _bar(network, bar), *shown, "within" if within else "beyond"])
    if found:
        yield (
            "The input alone is rounded to 4 bits: of the float network, on that grid of several"
            " which serves the test set best; and of a network that has 8 bits everywhere else, on"
            " 128 rows, retrained. Where both are beyond the bar, the input alone puts it out of"
            " reach, and what is lost further on comes on top; digits and copies of the input are"
            " the ways out.\n"
        )
    head = ["network", "at most", "float, input rounded", "8/8 bit, input of 4 bits, retrained"]
    yield from _table([*head, "the bar"], found)


SLACK = {"points": 0.05, "errors": 0.15, "pixels": 0.005, "scores": 0.0005}
"""How much more than the others retraining may lose at 8 bits, in the unit of the losses."""


def _methods(study: Study) -> Iterator[str]:
    """Compare retraining with none and with sgd, in what is lost and in time."""
    found = []
    for network in NETWORKS:
        for chip, method in product(cases.CHIPS, (cases.CLOSED, cases.RETRAINED)):
            mine = study.row(network, chip, method)
            others = [study.row(network, chip, other) for other in (cases.NONE, cases.SGD)]
            if mine is not None and all(others):
                rows = [other for other in others if other]
                found.append([network.name, chip.name, mine.shown, *_beside(mine, rows)])
    if found:
        yield (
            "How much more retraining loses than the others; below nothing is better (of scores:"
            " 1 - correlation). Up to 4 bits of weights it is to beat both, and `sgd` in time; it"
            " is level where the difference is within twice its error. At 8 bits it is to lose at"
            " most 0.05 points more (0.15 errors, 0.005 pixels, 0.0005 of correlation).\n"
        )
    head = ["network", "chip", "method", "than `none`", "than `sgd`", "goal"]
    yield from _table([*head, "s, `sgd`", "s", "goal"], found)


def _beside(mine: Row, others: Sequence[Row]) -> Iterator[str]:
    beyond = [mine.beyond(other) for other in others]
    narrow = mine.chip.weights <= 4
    yield from (_signed(each, mine.network) for each in beyond)
    if not narrow:
        yield _met(all(each.within(SLACK[mine.network.kind]) for each in beyond))
    else:
        yield _ahead(beyond)
    seconds = [row.mean("seconds") for row in (others[1], mine)]
    yield from (f"{each:.1f}" for each in seconds)
    yield _met(seconds[1] < seconds[0]) if narrow else ""


def _ablation(study: Study) -> Iterator[str]:
    found = []
    for row in study.rows.values():
        twin = cases.ABLATIONS.get(row.method)
        mine = study.row(row.network, row.chip, twin) if twin is not None else None
        if mine is not None:
            more = mine.beyond(row)
            found.append(
                [
                    *(row.network.name, row.chip.name, mine.shown, _loss(mine), _loss(row)),
                    *(_signed(more, row.network), _ahead([more])),
                ]
            )
    head = ["network", "chip", "method", "loss, transformed", "loss, original"]
    head += ["difference", "goal"]
    yield from _table(head, found)


def _strategies(study: Study) -> Iterator[str]:
    found = []
    pairs = ((cases.NONE, cases.PRUNED), (cases.RETRAINED, cases.PRUNED_RETRAINED))
    for network in NETWORKS:
        for chip in cases.CHIPS:
            for whole, pruned in pairs:
                rows = [study.row(network, chip, method) for method in (whole, pruned)]
                if None not in rows:
                    kept = [row for row in rows if row is not None]
                    found.append(
                        [network.name, chip.name, "yes" if whole.retrain is not None else "no"]
                        + [text for row in kept for text in (_cores(row), _loss(row))]
                    )
    if found:
        yield (
            "`split-and-merge` keeps every synapse and adds partial sums; `prune-and-refit` keeps"
            " diagonal blocks.\n"
        )
    head = ["network", "chip", "retrained", "split, crossbars / cores", "loss"]
    yield from _table([*head, "pruned, crossbars / cores", "loss"], found)


def _exports(study: Study) -> Iterator[str]:
    found = []
    for row in study.rows.values():
        exported = [result["exported"] for result in row.results if "exported" in result]
        if exported:
            differ, of = (sum(counts) for counts in zip(*exported, strict=True))
            found.append([row.network.name, row.chip.name, row.method.name, _loss(row)])
            found[-1].append(f"{differ} of {of:,}")
    if found:
        yield "Outputs of the exported model in onnxruntime that differ from the simulator's.\n"
    yield from _table(["network", "chip", "method", "loss", "differ"], found)


def _network(study: Study, network: Network) -> Iterator[str]:
    rows = [row for row in study.rows.values() if row.network.name == network.name]
    faults = {key: f for key, f in study.faults.items() if key[0] == network.name}
    if not rows and not faults:
        return
    yield f"Tested on {network.data}.{_facts(rows)}\n"
    scores = network.kind == "scores"
    head = ["chip", "ADC", "method", *(["correlation"] if scores else ["found", "loss"])]
    body = []
    for row in rows:
        bar = cases.bar(network, row.chip) if row.method in cases.HELD else None
        body.append(
            [row.chip.name, str(row.chip.adc), row.shown]
            + ([f"{row.mean('correlation'):.4f}"] if scores else [_found(row), _loss(row)])
            + ["" if bar is None else _met(row.meets(bar))]
            + ["" if network.kind == "pixels" else f"{row.mean('agreement'):.2%}"]
            + [_cores(row), f"{row.mean('seconds'):.1f}"]
        )
    head += ["bar", "same decision", "crossbars / cores", "s"]
    yield from _table(head, body)
    for (_, chip, method), fault in faults.items():
        yield f"\n{chip}, {method}: {fault['status']}, {fault['reason']}."


def _facts(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    counts = sorted({result["samples"] for row in rows for result in row.results})
    samples = " or ".join(f"{count:,}" for count in counts)
    kind, original = rows[0].network.kind, rows[0].results[0]["original"]
    value = "" if kind == "scores" else f" The original: {_value(rows[0], original)}."
    return f" {samples} samples.{value}"


def _found(row: Row) -> str:
    return _value(row, row.mean("found"))


def _value(row: Row, value: float) -> str:
    samples = row.results[0]["samples"]
    return {
        "points": f"{value:.2%}",
        "errors": f"{samples * (1 - value):.1f} errors of {samples}",
        "pixels": f"{value:.4f} pixels",
        "scores": "",
    }[row.network.kind]


def _loss(row: Row) -> str:
    if row.network.kind == "scores":
        return f"{row.mean('correlation'):.4f}, {row.mean('agreement'):.2%}"
    return _signed(row.loss, row.network)


def _signed(figure: Figure, network: Network) -> str:
    digits = {"points": 2, "errors": 1, "pixels": 4, "scores": 4}[network.kind]
    if network.kind == "scores":
        return f"{figure.mean:+.{digits}f}"
    return f"{figure.mean:+.{digits}f} ± {2 * figure.error:.{digits}f}"


def _bar(network: Network, bar: Bar) -> str:
    if network.kind == "scores":
        return f"correlation ≥ {bar.correlation}, same decision ≥ {bar.agreement:.0%}"
    return f"{bar.loss:g} {network.kind}"


def _cores(row: Row) -> str:
    return f"{row.mean('crossbars'):.0f} / {row.mean('cores'):.0f}"


def _ahead(beyond: Sequence[Figure]) -> str:
    """Say whether less is lost than by all others, or as much within twice the error."""
    if all(each.mean < 0 for each in beyond):
        return "met"
    return "level" if all(each.within(0) for each in beyond) else _met(False)


def _met(met: bool) -> str:
    return "met" if met else "**missed**"
