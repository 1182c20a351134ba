"""Compiles with retraining, on 64 rows with 4-bit weights and activations, 512 samples."""

from benchmarks.accuracy.cases import NARROW
from benchmarks.accuracy.networks import NETWORKS
from benchmarks.measure import peak_gb, show, timed
from neutrams.driver import compile

LIMITS = {"mnist8": 60, "ResNet-8": 300}


def main() -> None:
    for network in NETWORKS:
        if network.name not in LIMITS:
            continue
        if network.missing:
            print(f"skipped {network.name}: no {', '.join(network.missing)}")
            continue
        calibration = network.load().draw(0)
        seconds, _ = timed(
            lambda model=network.model, samples=calibration: compile(
                model, overrides=NARROW.overrides, calibration=samples, retrain=True
            )
        )
        show(f"compile and retrain {network.name}", seconds, "s", limit=LIMITS[network.name])
    show("peak memory", peak_gb(), "GB", limit=4)


if __name__ == "__main__":
    main()
