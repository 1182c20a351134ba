"""Energy and area of converters by resolution and node: the fit of the survey, via a target."""

from __future__ import annotations

from collections.abc import Iterator

from neutrams import targets
from neutrams.reproduce.recipe import Recipe, Row

_BITS = (4, 5, 6, 7, 8, 9, 10, 12)
_ENERGY_PJ = {
    65: "3.50 3.55 4.04 4.97 6.49 17.8 52.8 505",
    40: "1.41 1.42 1.62 2.00 2.61 7.15 21.2 203",
    32: "0.92 0.94 1.07 1.31 1.71 4.70 13.9 133",
    22: "0.46 0.46 0.53 0.65 0.85 2.32 6.89 65.9",
}
_AREA_UM2 = {
    32: "4964 4984 5180 5513 5972 8074 11180 21959",
    22: "2771 2782 2892 3078 3334 4507 6242 12259",
}
_SLOWER = (
    (9, 0.1, "energy", "2.34"),
    (10, 0.1, "energy", "3.31"),
    (8, 0.01, "area", "2598"),
)


def _rows() -> Iterator[Row]:
    for node, found in _ENERGY_PJ.items():
        for bits, published in zip(_BITS, found.split(), strict=True):
            energy, _ = _converter(bits, node, 1.0)
            yield Row(f"energy, {bits} bits, {node} nm, 1 GS/s", published, energy, "pJ")
    for node, found in _AREA_UM2.items():
        for bits, published in zip(_BITS, found.split(), strict=True):
            _, area = _converter(bits, node, 1.0)
            yield Row(f"area, {bits} bits, {node} nm, 1 GS/s", published, area, "µm²")
    for bits, rate, what, published in _SLOWER:
        energy, area = _converter(bits, 32, rate)
        of = f"{what}, {bits} bits, 32 nm, {1e3 * rate:g} MS/s"
        ours, unit = (energy, "pJ") if what == "energy" else (area, "µm²")
        yield Row(of, published, ours, unit)


def _converter(bits: int, node_nm: int, gsamples_per_s: float) -> tuple[float, float]:
    """Return energy (pJ) and area (µm²) of the converter of a target that names the survey."""
    fit = f'{{ survey = "adc", node_nm = {node_nm}.0, gsamples_per_s = {gsamples_per_s} }}'
    chip = targets.loads(
        f'inherits = "cim"\n[core]\nadc_bits = {bits}\n[costs.adc]\narea_um2 = {fit}\n'
        f"power_mw = {fit}\nstatic_mw = 0.0\nenergy_pj.adc_conversions = {fit}\n",
    )
    part = next(part for part in chip.costs if part.name == "adc")
    return dict(part.energy_pj)["adc_conversions"], part.area_mm2 * 1e6


ADC = Recipe(
    name="adc-survey",
    title="Energy and area of a converter by bits, node and speed",
    source="hwcomponents-adc 1.0.21, the fit of arXiv 2404.06553 to Murmann's survey 1997-2023",
    about=(
        'Each number is that of `cim` with `{ survey = "adc", … }` as the cost of its converter, '
        "loaded with so many bits. ISAAC's converter (Kull, ISSCC 2013) takes 1.67 pJ, the fit "
        "1.71 pJ at 8 bits and 32 nm."
    ),
    rows=lambda: tuple(_rows()),
)
