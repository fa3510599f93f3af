"""Where tissues meet near a probe, and where probes are near each other: against body-fitted finite elements.

Plane problems with an endless probe, on a 1 mm grid whose voxels know their halves. What limits the answer is where a
voxel of 1 mm says the boundary is: within a quarter of it. Ice that has gone through a boundary into a tissue where
temperature is flat feels that most, so areas are asked for as well as radii.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.thermal import Freezing
from scipy import ndimage

PLACES = [(0.0, (0.0, 0.0)), (0.0, (0.3, 0.4)), (0.5, (0.2, 0.1)), (0.7854, (0.4, 0.5))]
LAYOUTS = {
    "U": lambda x, y: np.where(x < 1e9, "gel", "gel"),
    "UF": lambda x, y: np.where(x < 1e9, "fat", "fat"),
    "UM": lambda x, y: np.where(x < 1e9, "muscle", "muscle"),
    "A3": lambda x, y: np.where(x > 3.0, "muscle", "fat"),
    "A1.5": lambda x, y: np.where(x > 1.5, "muscle", "fat"),
    "M3": lambda x, y: np.where(x > 3.0, "fat", "muscle"),
    "C": lambda x, y: np.where(x > 2.75, "bone", "muscle"),
    "Cr": lambda x, y: np.where((x > 2.75) & (x < 8.75), "bone", "muscle"),
    "D": lambda x, y: np.where((x - 6.25) ** 2 + y**2 < 2.5**2, "vessel", "muscle"),
    "E": lambda x, y: np.where(x < 1e9, "gel", "gel"),
    "E2": lambda x, y: np.where(x < 1e9, "gel", "gel"),
    "G": lambda x, y: np.where(x > 3.0, "air", "muscle"),
}
# (radius at 0 and -20 C towards and away from the boundary or across, mm; area inside 0 C, share)
LIMITS = {
    "U": (0.15, 0.02), "UF": (0.1, 0.02), "UM": (0.12, 0.02), "A3": (0.35, 0.03), "A1.5": (0.8, 0.12), "M3": (0.2, 0.015),
    "C": (0.2, 0.02), "Cr": (0.2, 0.02), "D": (0.35, 0.04), "E": (0.12, 0.015), "E2": (0.15, 0.015), "G": (0.3, 0.06),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYOUTS)
def test_tissues_and_probes_side_by_side(lab, case: str) -> None:
    reference = lab.reference("plane")
    names = [*reference["tissues"], "vessel", "air"]
    records = [lab.record(n, t["ku"], t["Cu"], t["kf"], t["Cf"], t["L"]) for n, t in reference["tissues"].items()]
    # A wall that is kept at 37 C: blood that conducts so well and is held so fast that its film does not count.
    vessel = lab.record("vessel", 3.0, 3.8e6, 3.0, 1.9e6, 275e6, perfusion=1e8)
    records += [replace(vessel, perfusion_stops=False), lab.record("air", 0.03, 1e3, 0.03, 1e3, 0.0, conducts=False)]
    apart, cold = ((-2.5, 2.5), (-140.0, -140.0)) if case == "E" else ((0.0,), (-140.0,))
    if case == "E2":
        apart, cold = (-2.5, 2.5), (-140.0, -70.0)
    for angle, offset in PLACES:
        towards = np.array([0.0, np.sin(angle), np.cos(angle)])
        across = np.array([0.0, np.cos(angle), -np.sin(angle)])

        def labels(x, y, towards=towards, across=across):
            found = LAYOUTS[case](x * towards[2] + y * towards[1], x * across[2] + y * across[1])
            return np.vectorize(names.index)(found).astype(np.uint8)

        medium, origin = lab.slice_medium(records, labels, 40.0, 1.0, offset)
        surfaces = [lab.endless(origin + shift * towards) for shift in apart]
        freezing = Freezing(medium, surfaces, [0.0], composite=False)
        for until_s in (180.0, 600.0):
            freezing.advance(until_s, lambda t: np.tile(cold, (len(t), 1)))
            field = freezing.temperature_c()
            expected = reference["cases"][case]["times"][f"{until_s:g}"]
            limit, share = LIMITS[case]
            for isotherm in ("0", "-20"):
                for name, direction in (("+x", towards), ("-x", -towards), ("+y", across)):
                    exact = expected[isotherm][name]
                    if exact is None:
                        continue
                    found = lab.crossing_mm(field, origin, direction, 1.0, float(isotherm))
                    assert found == pytest.approx(exact, abs=limit), (angle, offset, until_s, isotherm, name)
            fine = ndimage.zoom(field[3], 4, order=1, grid_mode=True, mode="nearest")
            gas = medium.classes_kji[3] == names.index("air")
            fine[np.kron(gas, np.ones((4, 4), bool))] = 37.0
            area = float((fine <= 0.0).sum()) / 16.0
            assert area == pytest.approx(expected["0"]["area"], rel=share), (angle, offset, until_s, "area")
