"""Run the study, and write `docs/accuracy.md` from its results.

    python -m benchmarks.accuracy --jobs 2

It goes on where an earlier run was cut off. `NEUTRAMS_DATA` names the data folder and
`NEUTRAMS_TRAINED` that of `examples/train_networks.py`, else `models/trained` in the former.
What is not there is named and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.accuracy import cases, measure
from benchmarks.accuracy.cases import Case
from benchmarks.accuracy.networks import NETWORKS
from benchmarks.accuracy.pack import pack
from benchmarks.accuracy.runner import run
from benchmarks.accuracy.store import Store
from benchmarks.accuracy.table import page
from benchmarks.measure import ROOT


def main() -> None:
    args = _arguments()
    store = Store(args.results)
    if args.pack:
        print(f"{pack(args.pack) / 1e6:.1f} MB in {args.pack}")
        return
    if not args.table_only:
        if args.list:
            for case, stored in _wanted(args, store):
                print(f"{'done' if stored else 'open'}  {case.name}")
            return
        todo = [case for case, stored in _wanted(args, store) if not stored]
        left = run(todo, store, limit=args.limit, jobs=args.jobs, seconds=args.seconds)
        if left:
            print(f"{left} cases are left; run again", file=sys.stderr)
    args.output.write_text(page(store.read()))


def _wanted(args: argparse.Namespace, store: Store) -> Iterator[tuple[Case, bool]]:
    """Yield the cases that are asked for, and whether their results are there."""
    absent = {network.name: network.missing for network in NETWORKS}
    known = store.read()
    chosen = [c for c in cases.cases(seeds=args.seeds) if fnmatch(c.name, args.only)]
    for name in dict.fromkeys(case.network.name for case in chosen):
        if absent[name]:
            print(f"left out {name}: no {', '.join(absent[name])}", file=sys.stderr)
    for case in chosen[args.shard[0] - 1 :: args.shard[1]]:
        if not absent[case.network.name]:
            stored = known.get(case.name, {}).get("key")
            yield case, stored is not None and stored == measure.key(case, args.limit)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default="*", help="names of cases, such as 'mnist8*retrained*'")
    parser.add_argument("--seeds", type=int, default=cases.SEEDS, help="how many")
    parser.add_argument("--limit", type=int, help="test samples, for a quick look")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--shard", type=_shard, default=(1, 1), help="1/4: the first of four parts")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no case later")
    parser.add_argument("--results", type=Path, default=ROOT / "build/accuracy.jsonl")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/accuracy.md")
    parser.add_argument("--list", action="store_true", help="name the cases, and run none")
    parser.add_argument("--table-only", action="store_true", help="write the page, and run none")
    parser.add_argument("--pack", type=Path, help="copy what the study reads to a smaller folder")
    return parser.parse_args()


def _shard(text: str) -> tuple[int, int]:
    part, _, whole = text.partition("/")
    return int(part), int(whole)


if __name__ == "__main__":
    main()
