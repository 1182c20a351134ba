"""Networks that peers and we run, with random weights: LeNet-5, and ResNet-18 for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def lenet5() -> nn.Module:
    """LeNet-5 for 28 × 28 images."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut; batch norms are folded into them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride, 1)
        self.second = nn.Conv2d(after, after, 3, 1, 1)
        same = before == after and stride == 1
        self.short = nn.Identity() if same else nn.Conv2d(before, after, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.first(x))
        return torch.relu(self.second(hidden) + self.short(x))


def resnet18() -> nn.Module:
    """ResNet-18 with a 3 × 3 stem, for 32 × 32 images."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
    width = 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(width, after, stride), Block(after, after, 1)]
        width = after
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


NETS = {"LeNet-5": (lenet5, (1, 28, 28), 128), "ResNet-18": (resnet18, (3, 32, 32), 8)}
"""How to make each, the shape of an image, and images at once."""


def made(name: str) -> tuple[nn.Module, Tensor]:
    """Return a network with weights that are always the same, and images."""
    build, shape, count = NETS[name]
    torch.manual_seed(0)
    return build().eval(), torch.rand(count, *shape)
