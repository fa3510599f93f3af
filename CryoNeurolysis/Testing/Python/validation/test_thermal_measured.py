"""The solver against what was measured. Each figure says what of the experiment is known and what had to be fitted."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from cryoneuro.knowledge import probe, tissue, tissues
from cryoneuro.model import PlannedProbe, Protocol, ProtocolStep, StepKind, Trajectory
from cryoneuro.thermal import block, simulate_box, thermocouple_c

# IceSphere in saline dishes at 27 C, mean of replicates (Cryoablation-Dosimetry, MIT): seconds, then C at 1.1, 2.0 and
# 4.0 mm from the probe's surface.
TRACES = {
    30: (-20.3, 4.0, 22.8),
    60: (-30.3, -8.9, 17.7),
    124: (-38.1, -21.2, 8.3),
    180: (-41.2, -25.4, 4.2),
    249: (-43.6, -26.3, 1.0),
    300: (-45.0, -28.9, -2.0),
}


def frozen(model, box, seconds: float, points=None, body_c: float = 37.0, middles=((0.0, 0.0, 0.0),)):
    schedule = Protocol("m", "m", (ProtocolStep(StepKind.FREEZE, seconds),), "as published", "high", True)
    half = 0.5 * model.active_length_mm
    placed = [
        PlannedProbe(model, Trajectory(np.array([x, y, -70.0]), np.array([x, y, z + half]))) for x, y, z in middles
    ]
    return simulate_box(box, placed, schedule, seconds, points_ras_mm=points, body_c=body_c)


def test_thermocouples_beside_a_probe_in_saline() -> None:
    """Two numbers are fitted on the readings at 180 s: the shaft's surface (-80 C: the sensor strapped to it read -104 C)
    and what moving saline carries to the ice (1 MW/m3/K). Held back: 249 and 300 s, and 124 s, at three distances.

    5 C is the mean error that published simulations in gel reach. The first minute is not reproduced: the dish's sensors
    are up to 15 C warmer then, at every distance.
    """
    records = tuple(
        replace(t, perfusion_w_m3k=1e6, perfusion_returns=True) if t.id == "saline" else t for t in tissues()
    )
    model = replace(probe("argon_17g_long"), tip_temperature_c=-80.0, cold_offset_mm=0.0)
    points = [[0.75 + d, 0.0, 0.0] for d in (1.1, 2.0, 4.0)]
    run = frozen(model, block(tissue("saline").label, (30.0, 30.0, 50.0), 0.5, records), 300.0, points, 27.0)
    found = {t: [np.interp(t, run.point_times_s, run.point_c[:, n]) for n in range(3)] for t in TRACES}
    assert found[180] == pytest.approx(TRACES[180], abs=3.0)
    held_back = np.array([np.subtract(found[t], TRACES[t]) for t in (124, 249, 300)])
    assert np.abs(held_back).mean() < 5.0 and np.abs(held_back).max() < 8.0


def test_a_thinner_probe_makes_less_ice() -> None:
    """Agar, 15 min: probes of 1.7 mm make 84 % of the diameter of 2.4 mm (Littrup 2009).

    Whether both keep the same temperature or take the same heat through each square millimeter is not known. The latter
    gives what was measured within 3 %, the former gives more.
    """
    box = block(tissue("gel").label, 110.0, 2.0)
    ratios = []
    for power_w in (None, 20.0):
        widths = {}
        for diameter in (1.7, 2.4):
            model = replace(
                probe("argon_24_variable"), diameter_mm=diameter, cold_offset_mm=0.0, active_length_mm=30.0,
                tip_temperature_c=-140.0 if power_w is None else -190.0,
                power_w=None if power_w is None else power_w * diameter / 2.4,
            )  # fmt: skip
            line = thermocouple_c(frozen(model, box, 900.0), [[x, 0, 0] for x in np.arange(0.0, 40.0, 0.1)])[-1]
            widths[diameter] = 0.1 * float((line <= 0.0).sum())
        ratios.append(widths[1.7] / widths[2.4])
    assert ratios[1] == pytest.approx(0.84, abs=0.03)
    assert ratios[1] < ratios[0] < 1.0


def test_ice_of_one_to_four_probes() -> None:
    """Littrup 2009, agar at about body temperature, 2.4 mm probes 2 cm apart, 15 min: total ice of 3.3, 4.9 and 6.6 cm.

    The figures are derived from a printed table whose bath temperature is not certain (6, 24 or 39 C); a quarter.
    """
    box = block(tissue("gel").label, (130.0, 130.0, 110.0), 2.0)
    model = replace(probe("argon_24_variable"), cold_offset_mm=0.0, active_length_mm=30.0)
    layouts = {
        3.3: [(0.0, 0.0, 0.0)],
        4.9: [(-10.0, 0.0, 0.0), (10.0, 0.0, 0.0)],
        6.6: [(x, y, 0.0) for x in (-10.0, 10.0) for y in (-10.0, 10.0)],
    }
    for expected_cm, middles in layouts.items():
        run = frozen(model, box, 900.0, body_c=39.0, middles=middles)
        plane = run.temperature_c[-1][run.geometry.shape_kji[0] // 2] <= 0.0
        widest = 0.2 * max(int(plane.sum(axis=0).max()), int(plane.sum(axis=1).max()))
        assert widest == pytest.approx(expected_cm, rel=0.25), expected_cm


def test_blood_keeps_kidney_ice_small() -> None:
    """Pig kidney, one argon 17G probe: 5 mm beyond the tip stayed above +15 C, 2 cm beside it above 0 C (Young 2010)."""
    box = block(tissue("kidney").label, 90.0, 1.5)
    model = replace(probe("argon_17g_long"), cold_offset_mm=4.0)
    half = 0.5 * model.active_length_mm
    run = frozen(replace(model, cold_offset_mm=0.0), box, 600.0)
    beyond = thermocouple_c(run, [[0.0, 0.0, half + 4.0 + 5.0]])[-1, 0]
    beside = thermocouple_c(run, [[20.0, 0.0, 0.0]])[-1, 0]
    assert beyond > 15.0 and beside > 0.0


def test_fat_makes_the_ice_smaller_evenly() -> None:
    """Lard and agar phantoms, 9 min: the ice's diameter falls with the share of fat, nearly on a line (R2 0.78 to 0.91)."""
    from cryoneuro.thermal import tissue_grid
    from cryoneuro.thermal.tissue_box import TissueBox

    shares, widths = (0.0, 0.25, 0.5, 0.75, 1.0), []
    model = replace(probe("argon_17g_long"), cold_offset_mm=0.0)
    for share in shares:
        base = block(tissue("gel").label, 84.0, 2.0)
        halves = np.zeros((84, 84, 84), np.uint8)
        corner = np.stack(np.meshgrid(*[np.arange(84) % 2] * 3, indexing="ij"), -1) @ [4, 2, 1]
        halves[:] = np.where(corner < 8 * share, tissue("fat").label, tissue("gel").label)
        box = TissueBox(base.geometry, tissue_grid(halves, 2.0), base.records)
        line = thermocouple_c(frozen(model, box, 540.0), [[x, 0, 0] for x in np.arange(0.0, 30.0, 0.1)])[-1]
        widths.append(0.1 * float((line <= 0.0).sum()))
    assert all(a > b for a, b in pairwise(widths))
    assert np.corrcoef(shares, widths)[0, 1] ** 2 > 0.78
