"""Compile a `torch.nn.Module`: it is traced with the first calibration sample."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import neutrams

HERE = Path(__file__).parent


def train(x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    """Fit a small network to the calibration digits."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    return net


def main() -> None:
    with np.load(HERE / "digits_calibration.npz") as data:
        x, y = data["x"].astype(np.float32) / 255, data["y"].astype(np.int64)
    net = train(torch.from_numpy(x), torch.from_numpy(y))

    program = neutrams.compile(net, calibration=x)
    with np.load(HERE / "digits_test.npz") as test:
        result = neutrams.simulate(
            program, test["x"].astype(np.float32) / 255, test["y"], limit=300
        )
    print(f"{result.accuracy:.1%} on the chip, {result.quality.float_value:.1%} in float")


if __name__ == "__main__":
    main()
