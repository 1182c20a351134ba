"""How `digits_calibration.npz` and `digits_test.npz` were taken from MNIST.

    python examples/make_digits.py mnist.npz

The calibration digits are the first 256 training images, the test digits the first 1,000 test
images. `mnist.npz` holds `x_train`, `y_train`, `x_test`, `y_test`; images are (n, 28, 28), uint8.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
COUNTS = {"calibration": ("train", 256), "test": ("test", 1000)}


def main(source: str) -> None:
    with np.load(source) as mnist:
        for name, (split, count) in COUNTS.items():
            x = mnist[f"x_{split}"][:count, None]
            y = mnist[f"y_{split}"][:count]
            np.savez_compressed(HERE / f"digits_{name}.npz", x=x, y=y)


if __name__ == "__main__":
    main(sys.argv[1])
