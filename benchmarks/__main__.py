"""Run every ``bench_*.py`` in a process of its own, so that times and memory are its own."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(wanted: list[str]) -> int:
    names = [path.stem for path in sorted(HERE.glob("bench_*.py"))]
    chosen = [name for name in names if not wanted or name.removeprefix("bench_") in wanted]
    codes = []
    for name in chosen:
        print(f"== {name.removeprefix('bench_')}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        codes.append(subprocess.run(command, cwd=HERE.parent, check=False).returncode)
        print(flush=True)
    return max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
