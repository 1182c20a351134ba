"""Every pass by name. A pass loads when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from neutrams.passes.base import Pass

PASSES: dict[str, str] = {
    "calibrate": "Calibrate",
    "canonicalise": "Canonicalise",
    "check-accumulators": "CheckAccumulators",
    "equalise-channels": "EqualiseChannels",
    "expand-recurrence": "ExpandRecurrence",
    "fold-constants": "FoldConstants",
    "fold-norms": "FoldNorms",
    "fold-scales": "FoldScales",
    "fuse-bias": "FuseBias",
    "fuse-clips": "FuseClips",
    "limit-fan-out": "LimitFanOut",
    "lower-units": "LowerUnits",
    "merge-through-cores": "MergeThroughCores",
    "prune-to-blocks": "PruneToBlocks",
    "quantize": "Quantize",
    "remove-identities": "RemoveIdentities",
    "remove-unused": "RemoveUnused",
    "retrain-units": "RetrainUnits",
    "spell-functions": "SpellFunctions",
    "spell-max-pool": "SpellMaxPool",
    "spell-sums": "SpellSums",
    "spell-tables": "SpellTables",
    "split-digits": "SplitDigits",
    "split-fan-in": "SplitFanIn",
    "split-signs": "SplitSigns",
    "widen-inputs": "WidenInputs",
}
"""Name of every pass to its class, which stands in the file of the same name."""


def pass_class(name: str) -> type[Pass]:
    """Return the class of a pass that is in the table."""
    module = import_module(f"neutrams.passes.{name.replace('-', '_')}")
    found: type[Pass] = getattr(module, PASSES[name])
    assert issubclass(found, Pass), f"{found} is no pass"
    assert found.name == name, f"{name}: table and class disagree"
    return found


STRATEGIES: dict[str, tuple[str, str]] = {
    "split-and-merge": ("", "merge-through-cores"),
    "merge-through-cores": ("", "merge-through-cores{partial-sums=1}"),
    "prune-to-blocks": ("prune-to-blocks", "merge-through-cores"),
    "prune-and-refit": ("prune-to-blocks{refit=true}", "merge-through-cores"),
}
"""Ways to obey a fan-in, and the passes each puts before calibration and before `split-fan-in`:
keep every weight, and add up partial sums digitally where the chip can; let units add them on any
chip; keep diagonal blocks; keep those, fitted to what the whole matrix made."""


def default_pipeline(
    *,
    observer: str = "mse",
    weight_bits: int = 0,
    activation_bits: int = 0,
    strategy: str = "split-and-merge",
    retrain: bool | str = False,
    device: str = "auto",
    bits: str = "",
    widen: int = 1,
    digits: str = "none",
) -> str:
    """Return the pipeline from an imported graph to units that obey a target's limits.

    Bits of 0 stand for what the target has. A graph that is quantised already keeps its scales.
    ``strategy`` is one of :data:`STRATEGIES`. ``retrain`` asks for `retrain-units`, as it is or
    by the name of its method; ``none`` is none. ``device`` is where that trains.
    ``bits`` are those of single layers, as :func:`neutrams.passes.bits.print_bits` writes them.
    ``widen`` is how many copies of the network's inputs crossbars read; ``digits`` is what they
    read in digits, as `quantize` says it.
    """
    assert strategy in STRATEGIES, strategy
    widths = {"weight-bits": weight_bits, "activation-bits": activation_bits}
    options = [f"{name}={width}" for name, width in widths.items() if width]
    options += [f'bits="{bits}"'] if bits else []
    options += [f"observer={observer}"] if observer != "mse" else []
    options += [f"digits={digits}"] if digits != "none" else []
    given = " ".join(options)
    prune, merge = STRATEGIES[strategy]
    activation = f" bits={activation_bits}" if activation_bits else ""
    return ",".join(
        [
            "canonicalise",
            "expand-recurrence",
            "spell-functions",
            *([prune] if prune else []),
            "equalise-channels",
            f"calibrate{{observer={observer}{activation}}}",
            f"quantize{{{given}}}" if given else "quantize",
            "lower-units" if digits == "none" else "lower-units{digits=true}",
            "spell-max-pool",
            "spell-sums",
            "spell-tables",
            *([f"widen-inputs{{copies={widen}}}"] if widen > 1 else []),
            merge,
            "split-signs",
            "split-fan-in",
            *_retraining(retrain, device),
            *(["split-digits"] if digits != "none" else []),
            "limit-fan-out",
            "check-accumulators",
        ]
    )


def _retraining(method: bool | str, device: str) -> list[str]:
    if not method or method == "none":
        return []
    options = [] if method is True else [f"method={method}"]
    options += [f"device={device}"] if device != "auto" else []
    return [f"retrain-units{{{' '.join(options)}}}" if options else "retrain-units"]
