"""The networks of the study."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from benchmarks.accuracy import data, judges
from benchmarks.accuracy.data import DATA, Sets

TRAINED = Path(os.environ.get("NEUTRAMS_TRAINED", DATA / "models" / "trained"))
"""What `examples/train_networks.py` writes."""

Kind = Literal["points", "errors", "pixels", "scores"]


@dataclass(frozen=True, slots=True)
class Network:
    """A trained network, its data, and how it is judged."""

    name: str
    file: str
    """Within the models of the data folder, or without one, of `TRAINED`."""
    load: Callable[[], Sets]
    judge: judges.Judge
    data: str
    """What it is tested on."""
    kind: Kind = "points"
    """The unit of its losses: points of accuracy, errors (small sets), pixels; or none."""
    mnist: bool = False
    """Held to the narrower bars."""
    calibrate: str = ""
    """Options of `calibrate` other than the usual."""
    quantised: bool = False
    """It brings its own integers and ranges, so that no seed makes a difference."""
    needs: tuple[str, ...] = ()
    """Files of the data folder."""
    first: str = ""
    """The layer that reads the input, for networks of which 4 bits of it are asked for alone."""
    digits: str = ""
    """Bits of layers, beyond 4 where a network needs it most."""

    @property
    def model(self) -> Path:
        return TRAINED / self.file if "/" not in self.file else DATA / "models" / self.file

    @property
    def missing(self) -> list[str]:
        paths = [self.model, *(DATA / f"{need}.npz" for need in self.needs)]
        return [path.name for path in paths if not path.exists()]


def _digits(name: str, file: str, load: Callable[[], Sets]) -> Network:
    return Network(
        name,
        file,
        load,
        judges.classes,
        "MNIST test digits",
        mnist=True,
        needs=("images/mnist",),
    )


def _images(
    name: str, file: str, load: Callable[[], Sets], needs: str, shown: str, first: str = ""
) -> Network:
    return Network(name, file, load, judges.classes, shown, needs=(needs,), first=first)


def _spoken(name: str, file: str) -> Network:
    return Network(
        name,
        file,
        data.spoken,
        judges.classes,
        "Free Spoken Digit Dataset, its test recordings",
        kind="errors",
        needs=("audio/fsdd_logmel32",),
    )


_RESNET8 = _images(
    "ResNet-8",
    "onnx/mlperf_tiny_resnet8.onnx",
    data.cifar,
    "images/cifar10_jpeg",
    "CIFAR-10 test images, as JPEG",
    first="t22_r",
)
_DSCNN = _images(
    "DS-CNN",
    "onnx/mlperf_tiny_kws_dscnn.onnx",
    data.keywords,
    "audio/kws_mfcc_test1000",
    "Speech Commands; each seed calibrates with 512 of them, unlabelled, and is judged by the"
    " others",
    first="t22_r",
)
NETWORKS = (
    _digits("MLP 784-50-10-10", "mnist_mlp_50_10.onnx", data.mnist_vectors),
    _digits("MLP 784-300-10", "mnist_mlp_300.onnx", data.mnist_vectors),
    _digits("MLP 784-512-256-10", "mnist_mlp_512_256.onnx", data.mnist_vectors),
    _digits("mnist8", "onnx/mnist8_cntk.onnx", data.mnist_pixels),
    _digits("LeNet-5", "mnist_lenet5.onnx", data.mnist),
    _images(
        "Fashion LeNet-5",
        "fashion_lenet5.onnx",
        data.fashion,
        "images/fashion_mnist",
        "Fashion-MNIST test images",
    ),
    _RESNET8,
    replace(_RESNET8, name="deep CNN", file="cifar_deep_cnn.onnx", first=""),
    _DSCNN,
    _spoken("LSTM", "spoken_lstm.onnx"),
    _spoken("transformer", "spoken_transformer.onnx"),
    Network(
        "auto-encoder",
        "onnx/mlperf_tiny_ad_autoencoder.onnx",
        data.machines,
        judges.reconstruction,
        "computed hums and noise under spoken digits, as log-mel frames; the score is the"
        " reconstruction error, a decision the side of its 90th percentile",
        kind="scores",
        needs=("audio/fsdd_test_audio",),
        first="0",
        digits="*=4/8,3=8/8,6=8/8,9=8/8",
    ),
    Network(
        "Silero VAD",
        "onnx/silero_vad_16k_sequence.onnx",
        data.detector,
        judges.detection,
        "150 spoken digits with pauses and faint noise, as one sequence; the score is the"
        " probability of speech, a decision the side of a half",
        kind="scores",
        calibrate="observer=min-max samples=1500",
        needs=("audio/fsdd_test_audio",),
        first="/stft/Conv_output_0",
        digits="*=4/8,/stft/Conv_output_0=8/8",
    ),
    Network(
        "BraggNN",
        "onnx/braggnn_fc16_sz11.onnx",
        data.bragg,
        judges.positions,
        "computed pseudo-Voigt peaks with Poisson noise; the figure is the mean distance"
        " from the true centre, in pixels",
        kind="pixels",
        first="/cnn_layers.0/Conv_output_0",
        digits="*=4/4,34=4/8,37=4/8,40=4/8,43=4/8,46=4/8",
    ),
    replace(
        _RESNET8,
        name="ResNet-8 int8",
        file="onnx/mlperf_tiny_resnet8_int8_qdq.onnx",
        quantised=True,
    ),
    replace(
        _DSCNN,
        name="DS-CNN int8",
        file="onnx/mlperf_tiny_kws_dscnn_int8_qdq.onnx",
        load=data.keywords_whole,
        data="Speech Commands",
        quantised=True,
    ),
    Network(
        "wake word int8",
        "onnx/mlperf_tiny_streaming_wakeword_int8_qdq.onnx",
        data.wake_words,
        judges.classes,
        "log-mel frames of a spoken word, the network's own calibration samples",
        kind="errors",
        quantised=True,
        needs=("audio/sww_logmel45",),
    ),
)
