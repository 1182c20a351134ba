"""Does a network fit, and where does it lie: the dry run, and a compile without retraining."""

from benchmarks.accuracy.networks import NETWORKS
from benchmarks.measure import show, timed
from neutrams.driver import check, compile


def main() -> None:
    for network in NETWORKS:
        if network.missing:
            print(f"skipped {network.name}: no {', '.join(network.missing)}")
            continue
        seconds, _ = timed(lambda model=network.model: check(model, "cim"))
        show(f"dry run of {network.name}", seconds, "s", limit=10)
        calibration = network.load().draw(0)
        seconds, _ = timed(
            lambda model=network.model, samples=calibration: compile(model, calibration=samples)
        )
        show(f"  calibrate, cut, place {network.name}", seconds, "s", limit=10)


if __name__ == "__main__":
    main()
