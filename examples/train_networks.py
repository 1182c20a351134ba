"""Train small networks from scratch and write them as ONNX.

    python examples/train_networks.py --data DATA --out models            # all of them
    python examples/train_networks.py --data DATA --out models lenet5     # by name

`DATA` (or `NEUTRAMS_DATA`) holds `images/mnist.npz`, `images/fashion_mnist.npz`,
`images/cifar10_jpeg.npz` and `audio/fsdd_logmel32.npz`. A line for each network tells its accuracy
on the whole test set; one seed gives one network on one kind of device.
"""

from __future__ import annotations

import argparse
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from neutrams.frontends.torch import export_module

Split = tuple[np.ndarray, np.ndarray]
FRAMES = 64
"""Length of a spoken digit, in steps of 10 ms; shorter ones begin with silence."""


def mnist(folder: Path, split: str, count: int, *, name: str = "mnist") -> Split:
    """Pixels in 0..1, one channel."""
    with np.load(folder / f"images/{name}.npz") as sets:
        return sets[f"x_{split}"][:count, None] / np.float32(255), sets[f"y_{split}"][:count]


def fashion(folder: Path, split: str, count: int) -> Split:
    return mnist(folder, split, count, name="fashion_mnist")


def vectors(folder: Path, split: str, count: int) -> Split:
    x, y = mnist(folder, split, count)
    return x.reshape(len(x), -1), y


def cifar(folder: Path, split: str, count: int) -> Split:
    """Pixels in 0..255, as the images are stored; the network itself takes them to -1..1."""
    from PIL import Image

    with np.load(folder / "images/cifar10_jpeg.npz") as sets:
        stored, ends, y = (sets[f"{split}_{part}"] for part in ("jpeg", "offset", "label"))
    images = [
        np.asarray(Image.open(io.BytesIO(stored[ends[i] : ends[i + 1]].tobytes())))
        for i in range(min(count, len(y)))
    ]
    return np.stack(images).transpose(0, 3, 1, 2).astype(np.float32), y[:count]


def speech(folder: Path, split: str, count: int) -> Split:
    """Log-mel frames, 32 bands, as (level - 128) / 64; level 0 is silence."""
    with np.load(folder / "audio/fsdd_logmel32.npz") as sets:
        frames, ends, digits = sets["frames"], sets["offset"], sets["digit"]
        chosen = np.flatnonzero(sets["is_test"] == (split == "test"))
    x = np.zeros((len(chosen), FRAMES, 32), np.float32)
    for row, i in zip(x, chosen, strict=True):
        spoken = frames[ends[i] : ends[i + 1]][:FRAMES]
        row[FRAMES - len(spoken) :] = spoken
    return ((x - 128) / 64)[:count], digits[chosen][:count]


def mlp(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size, width in pairwise(sizes):
        layers += [nn.Linear(size, width), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def lenet5() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Flatten(),
        *mlp(400, 120, 84, 10),
    )


class Centre(nn.Module):
    """Take 0..255 to -1..1."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 127.5 - 1


def deep_cnn(depth: int = 6, width: int = 16) -> nn.Sequential:
    """Convolutions in pairs of one width, which doubles from pair to pair."""
    layers: list[nn.Module] = [Centre()]
    before = 3
    for level in range(depth):
        after = width << level // 2
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after)]
        layers += [nn.ReLU(), *([nn.MaxPool2d(2)] if level % 2 else [])]
        before = after
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 16, 10))


class SpokenLstm(nn.Module):
    """The state after the last frame tells the digit."""

    def __init__(self, bands: int = 32, width: int = 64) -> None:
        super().__init__()
        self.layer = nn.LSTM(bands, width, batch_first=True)
        self.scores = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.layer(x)[0][:, -1])
        return scores


class Encoder(nn.Module):
    """A layer of a transformer encoder, norms first."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.wide = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = self.queries_keys_values(self.norms[0](x)).unflatten(-1, (3, self.heads, -1))
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).flatten(2))
        made: Tensor = x + self.wide(self.norms[1](x))
        return made


class SpokenTransformer(nn.Module):
    """Two layers of an encoder over pairs of frames; their mean tells the digit."""

    def __init__(self, bands: int = 32, width: int = 48, heads: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * bands, width)
        self.places = nn.Parameter(0.1 * torch.randn(FRAMES // 2, width))
        self.layers = nn.Sequential(Encoder(width, heads), Encoder(width, heads))
        self.scores = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    def forward(self, x: Tensor) -> Tensor:
        pairs = x.unflatten(1, (FRAMES // 2, 2)).flatten(2)
        scores: Tensor = self.scores(self.layers(self.embed(pairs) + self.places).mean(1))
        return scores


def moved(x: Tensor, most: int) -> Tensor:
    """Shift a batch of images by up to so many pixels, the same for all."""
    down, right = (int(torch.randint(-most, most + 1, ())) for _ in range(2))
    edges = functional.pad(x, (most,) * 4)
    rows, columns = x.shape[2:]
    return edges[:, :, most + down :, most + right :][:, :, :rows, :columns]


def mirrored(x: Tensor) -> Tensor:
    flip = torch.rand(len(x), device=x.device) < 0.5
    return torch.where(flip[:, None, None, None], x.flip(3), moved(x, 4))


def louder(x: Tensor) -> Tensor:
    """Change loudness and colour, with a little noise."""
    level = 0.3 * torch.randn(len(x), 1, 1, device=x.device)
    colour = 0.15 * torch.randn(len(x), 1, x.shape[2], device=x.device)
    return x + level + colour + 0.15 * torch.randn_like(x)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one network is made."""

    build: Callable[[], nn.Module]
    load: Callable[[Path, str, int], Split]
    epochs: int
    rate: float = 2e-3
    change: Callable[[Tensor], Tensor] = lambda x: x
    """What is done to each batch, so that the network meets more than its training set."""


RECIPES = {
    "mnist_mlp_50_10": Recipe(lambda: mlp(784, 50, 10, 10), vectors, epochs=12),
    "mnist_mlp_300": Recipe(lambda: mlp(784, 300, 10), vectors, epochs=10),
    "mnist_mlp_512_256": Recipe(lambda: mlp(784, 512, 256, 10), vectors, epochs=8),
    "mnist_lenet5": Recipe(lenet5, mnist, epochs=8, change=lambda x: moved(x, 1)),
    "fashion_lenet5": Recipe(lenet5, fashion, epochs=12, change=lambda x: moved(x, 1)),
    "spoken_lstm": Recipe(SpokenLstm, speech, epochs=40, rate=5e-3, change=louder),
    "spoken_transformer": Recipe(SpokenTransformer, speech, epochs=40, change=louder),
    "cifar_deep_cnn": Recipe(deep_cnn, cifar, epochs=12, rate=1e-2, change=mirrored),
}


def fit(net: nn.Module, x: Tensor, y: Tensor, recipe: Recipe, *, batch: int = 128) -> None:
    """Minimise cross-entropy; the rate rises, then falls to nothing."""
    steps = recipe.epochs * -(-len(x) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    net.train()
    for _ in range(recipe.epochs):
        for chosen in torch.randperm(len(x)).split(batch):
            loss = functional.cross_entropy(net(recipe.change(x[chosen])), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()


@torch.no_grad()
def accuracy(net: nn.Module, x: Tensor, y: Tensor) -> float:
    right = sum(int((net(part).argmax(1) == label).sum()) for part, label in _batches(x, y))
    return right / len(x)


def _batches(x: Tensor, y: Tensor) -> zip[tuple[Tensor, Tensor]]:
    return zip(x.split(500), y.split(500), strict=True)


def make(name: str, args: argparse.Namespace) -> str:
    """Train one network, write it, and return a line that tells how good it is."""
    recipe, device = RECIPES[name], "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(args.seed)
    net = recipe.build().to(device)
    sets = [recipe.load(args.data, split, args.limit) for split in ("train", "test")]
    (x, y), (x_test, y_test) = (
        (torch.from_numpy(x).to(device), torch.from_numpy(y.astype(np.int64)).to(device))
        for x, y in sets
    )
    fit(net, x, y, recipe)
    found = accuracy(net, x_test, y_test)
    onnx.save(export_module(net.cpu(), x_test[:1].cpu()), args.out / f"{name}.onnx")
    return f"{name:20} {found:.2%} of {len(y_test)} test samples"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(RECIPES)}; all if none")
    parser.add_argument("--data", type=Path, default=os.environ.get("NEUTRAMS_DATA", "."))
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the ONNX files")
    parser.add_argument("--limit", type=int, default=60_000, help="samples of each set")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.names or RECIPES:
        print(make(name, args), flush=True)


if __name__ == "__main__":
    main()
