"""Finds the cooling of a probe that reproduces isotherm sizes in gel, such as a maker's table that a site may read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from ..knowledge import constant, tissue
from ..model import KnowledgeError, ProbeModel, ThermalError
from .engine import Freezing
from .links import ColdSurface
from .medium import medium_from_labels
from .schedule import share_of_way

_GRID_MM = 2.0
_BOX_MM = 128.0
_WORST_MM = 3.0
_LONGEST_S = 7200.0
_COLDEST_C = -196.0


@dataclass(frozen=True)
class IsothermSize:
    """Size of one isotherm in gel.

    Attributes:
        width_mm: largest diameter across the probe.
        length_mm: along the probe, None when it is not known.
    """

    isotherm_c: float
    time_s: float
    width_mm: float
    length_mm: float | None = None

    def __post_init__(self) -> None:
        numbers = [self.time_s, self.width_mm, *([] if self.length_mm is None else [self.length_mm])]
        if self.time_s > _LONGEST_S or max(numbers[1:]) > _BOX_MM:
            raise KnowledgeError(
                f"An isotherm's size is fitted up to {_LONGEST_S:g} s and {_BOX_MM:g} mm, got {self.time_s:g} s and "
                f"{max(numbers[1:]):g} mm."
            )
        if not all(math.isfinite(n) and n > 0 for n in numbers) or not -150.0 <= self.isotherm_c <= 10.0:
            raise KnowledgeError(
                f"An isotherm's size needs positive time, width and length and -150 to 10 C, got {self.isotherm_c:g} C at "
                f"{self.time_s:g} s, {self.width_mm:g} x {self.length_mm} mm."
            )


@dataclass(frozen=True)
class ProbeFit:
    """A fitted probe and how well it does.

    Attributes:
        sizes_mm: (width, length) that the fitted probe gives for each size that was entered.
        worst_mm: largest difference to what was entered.
    """

    probe: ProbeModel
    sizes_mm: tuple[tuple[float, float], ...]
    worst_mm: float


def isotherm_sizes(
    probe: ProbeModel, wanted: Sequence[IsothermSize], gel_c: float | None = None
) -> tuple[tuple[float, float], ...]:
    """Width and length (mm) of isotherms round a probe in gel, on a 2 mm grid; 0 where there is none.

    Args:
        gel_c: temperature of the gel; the body's when None.
    """
    body = constant("body_temperature_c") if gel_c is None else gel_c
    n = int(_BOX_MM / _GRID_MM)
    medium = medium_from_labels(np.full((n, n, n), tissue("gel").label), _GRID_MM, body_c=body)
    middle = np.full(3, 0.5 * (n - 1))
    surface = ColdSurface(middle, np.array([1.0, 0.0, 0.0]), probe.diameter_mm, probe.active_length_mm)
    freezing = Freezing(medium, [surface], [0.0], [np.inf if probe.power_w is None else probe.power_w])

    def targets(times_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return (body + (probe.tip_temperature_c - body) * share_of_way(probe, times_s))[:, None]

    found: dict[int, tuple[float, float]] = {}
    r = np.arange(0.0, 0.48 * _BOX_MM, 0.05) / _GRID_MM
    for number in sorted(range(len(wanted)), key=lambda i: wanted[i].time_s):
        freezing.advance(wanted[number].time_s, targets)
        reach = []
        for direction in ((0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0)):
            line = freezing.at_points_c(middle + np.outer(r, direction))
            cold = np.flatnonzero(line <= wanted[number].isotherm_c)
            if not len(cold) or cold[-1] + 1 >= len(r):
                reach.append(0.0)
                continue
            a = cold[-1]
            part = (wanted[number].isotherm_c - line[a]) / (line[a + 1] - line[a])
            reach.append(float((r[a] + part * (r[a + 1] - r[a])) * _GRID_MM))
        found[number] = (2.0 * float(np.mean(reach[:4])), float(reach[4] + reach[5]))
    return tuple(found[i] for i in range(len(wanted)))


def fit_probe(probe: ProbeModel, sizes: Sequence[IsothermSize], gel_c: float | None = None) -> ProbeFit:
    """The probe with the tip temperature and active length that reproduce isotherm sizes best.

    Args:
        probe: the probe to start from; its diameter and course of cooling are kept.
        sizes: at least one; the active length is fitted where a length is given.
        gel_c: temperature of the gel; the body's when None.

    Raises:
        KnowledgeError: no sizes.
        ThermalError: no cooling of such a probe comes within 3 mm of what was entered.
    """
    if not sizes:
        raise KnowledgeError("Enter at least one isotherm size to fit a probe to.")
    body = constant("body_temperature_c") if gel_c is None else gel_c
    with_length = any(s.length_mm is not None for s in sizes)

    def model(x: npt.NDArray[np.float64]) -> ProbeModel:
        length = float(x[1]) if with_length else probe.active_length_mm
        return replace(probe, tip_temperature_c=float(x[0]), active_length_mm=length)

    def misses(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = []
        for size, (width, length) in zip(sizes, isotherm_sizes(model(x), sizes, body), strict=True):
            rows.append(width - size.width_mm)
            if size.length_mm is not None:
                rows.append(length - size.length_mm)
        return np.array(rows)

    start, low, high = [probe.tip_temperature_c], [_COLDEST_C], [-5.0]
    if with_length:
        start, low, high = [*start, probe.active_length_mm], [*low, 1.0], [*high, 80.0]
    start = list(np.clip(start, np.array(low) + 1e-3, np.array(high) - 1e-3))
    scale = [10.0, 2.0][: len(start)]
    fit = least_squares(misses, start, bounds=(low, high), x_scale=scale, diff_step=0.02, xtol=1e-4, max_nfev=25)
    worst = float(np.abs(fit.fun).max())
    bound = " at the coldest that any cryogen gets," if fit.x[0] < _COLDEST_C + 1.0 else ""
    fitted = replace(
        model(fit.x),
        id=f"{probe.id}_fitted",
        name=f"{probe.name}, fitted",
        source=f"Fitted{bound} in gel at {body:g} C to {len(sizes)} entered isotherm size(s), worst difference {worst:.1f} mm; "
        f"diameter and course of cooling: {probe.source}",
        confidence="medium",
        verified=False,
        surface_span_c=None,
        temperature_basis=f"Fitted to {len(sizes)} entered isotherm size(s), worst difference {worst:.1f} mm",
    )
    if worst > _WORST_MM:
        raise ThermalError(
            f"No cooling of a {probe.diameter_mm:g} mm probe reproduces these sizes: the best one, {fit.x[0]:.0f} C, is still "
            f"{worst:.1f} mm off. Check the sizes, their times and the gel's temperature."
        )
    return ProbeFit(fitted, isotherm_sizes(fitted, sizes, body), worst)
