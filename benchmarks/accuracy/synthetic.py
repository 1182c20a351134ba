"""Inputs that are computed, for networks whose own data cannot be had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from neutrams.ir.types import Array

RATE = 16_000
Floats = NDArray[np.float64]


def bragg_peaks(count: int, seed: int, *, size: int = 11) -> tuple[Array, Array]:
    """Return diffraction peaks ``[N, 1, size, size]`` in 0..1, and their centres (column, row).

    A peak is a pseudo-Voigt function (a Gaussian and a Lorentzian of one width, mixed), rotated,
    with its centre within 1.5 pixels of the middle, counted in photons (Poisson noise).
    """
    rng = np.random.default_rng(seed)

    def one(low: float, high: float) -> Floats:
        return rng.uniform(low, high, (count, 1, 1))

    centre = (size - 1) / 2 + rng.uniform(-1.5, 1.5, (count, 2))
    row, column = np.mgrid[:size, :size][:, None] - centre[:, ::-1].T[..., None, None]
    angle = one(0, np.pi)
    u = (column * np.cos(angle) + row * np.sin(angle)) / one(1.5, 3.5)
    v = (row * np.cos(angle) - column * np.sin(angle)) / one(1.5, 3.5)
    square = 4 * (u * u + v * v)  # widths are at half the height
    mix = one(0, 1)
    peak = mix / (1 + square) + (1 - mix) * np.exp(-np.log(2) * square)
    counts = rng.poisson(one(200, 2000) * peak + one(2, 20)).astype(np.float32)
    least, most = (f(counts, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return ((counts - least) / (most - least))[:, None], centre.astype(np.float32)


def sounds(recordings: Sequence[Array], seed: int) -> Floats:
    """Return spoken digits (8 kHz, int16) at 16 kHz, pauses between, and faint noise."""
    from scipy.signal import resample_poly

    rng = np.random.default_rng(seed)
    parts: list[Floats] = []
    for pcm in recordings:
        loud = pcm.astype(np.float64) / np.abs(pcm).max()
        parts.append(0.5 * resample_poly(loud, 2, 1))
        parts.append(np.zeros(int(rng.uniform(0.2, 0.6) * RATE)))
    sound = np.concatenate(parts)
    return np.asarray(sound + 1e-3 * rng.standard_normal(len(sound)))


def detector_steps(recordings: Sequence[Array], seed: int) -> dict[str, Array]:
    """Return sounds cut as Silero's detector reads them: 512 new samples behind 64 known ones."""
    sound = sounds(recordings, seed)
    starts = np.arange((len(sound) - 64) // 512)[:, None] * 512
    zeros = np.zeros((1, 1, 128), np.float32)
    rows = sound[starts + np.arange(576)].astype(np.float32)
    return {"input": rows, "h": zeros, "c": zeros}


def machine_frames(recordings: Sequence[Array], seed: int) -> Array:
    """Return what MLPerf's auto-encoder reads, ``[N, 640]``: five frames of 128 mel bands, in dB.

    The sound stands in for a running machine: a hum of some pitch with its overtones over noise,
    level and pitch new every second, under spoken digits, which are the anomalies.
    """
    rng = np.random.default_rng(seed)
    speech = sounds(recordings, seed)
    parts = []
    for start in range(0, len(speech) - RATE, RATE):
        time = np.arange(RATE) / RATE
        pitch = rng.uniform(80, 400)
        hum = sum(
            rng.uniform(0, 1) / k * np.sin(2 * np.pi * k * pitch * time + k) for k in range(1, 12)
        )
        level = 10 ** rng.uniform(-2.5, -1)
        noise = rng.uniform(0.05, 0.5) * rng.standard_normal(RATE)
        voice = rng.uniform(0, 0.2) * speech[start : start + RATE]
        parts.append(level * (hum + noise) + voice)
    frames = log_mel(np.concatenate(parts))
    windows = np.lib.stride_tricks.sliding_window_view(frames, 5, axis=0).transpose(0, 2, 1)
    return np.ascontiguousarray(windows.reshape(len(windows), -1), np.float32)


def log_mel(sound: Floats, *, size: int = 1024, hop: int = 512, bands: int = 128) -> Floats:
    """Return ``[frames, bands]`` of mel power in dB: periodic Hann windows, Slaney's mel scale."""
    window = np.hanning(size + 1)[:-1]
    pieces = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    power = np.abs(np.fft.rfft(pieces * window)) ** 2
    return np.asarray(10 * np.log10(power @ _filters(size, bands).T + 1e-12))


def _filters(size: int, bands: int) -> Floats:
    """Triangles of equal area over the mel scale of Slaney's Auditory Toolbox (1998)."""
    step = np.log(6.4) / 27  # linear to 1 kHz, at 15 mels, and logarithmic above
    mels = np.linspace(0, 15 + np.log(RATE / 2 / 1000) / step, bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))
    bins = np.fft.rfftfreq(size, 1 / RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (high - low))
