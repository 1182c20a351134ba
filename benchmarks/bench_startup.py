"""Start-up of the command line."""

import subprocess
import sys

from benchmarks.measure import best, show

CODE = "import sys; from neutrams.cli import run; sys.exit(run({arguments}))"


def start(*arguments: str) -> None:
    command = [sys.executable, "-c", CODE.format(arguments=list(arguments))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    bare = best(lambda: subprocess.run([sys.executable, "-c", ""], check=True), runs=5)
    show("python -c ''", bare, "s")
    show("neutrams --help", best(lambda: start("--help"), runs=5), "s", limit=0.4)
    show("neutrams --version", best(lambda: start("--version"), runs=5), "s", limit=0.4)
    show("neutrams targets", best(lambda: start("targets"), runs=5), "s")


if __name__ == "__main__":
    main()
