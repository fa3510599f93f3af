"""Times the thermal engine beside its accuracy, and beside peers in the same run. Prints tables.

Reference problem: probe 1.5 x 20 mm at -150 C; radii of 0 / -20 C at mid-length 14.253 / 9.273 mm after 600 s and
16.268 / 10.189 mm after freeze 10, thaw 5, freeze 10 min. Everything on the middle of 128 x 128 x 128 mm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from cryoneuro.anatomy import segment
from cryoneuro.imaging import LabelMap, make_phantom, read_ct
from cryoneuro.knowledge import protocol, tissue
from cryoneuro.model import PlannedProbe, Trajectory
from cryoneuro.pipeline import Request, new_case, plan_step, sampled_doubt
from cryoneuro.thermal import (
    Freezing,
    compiled_available,
    simulate,
    simulate_box,
    tissue_box,
    tissue_grid,
)
from cryoneuro.thermal.links import ColdSurface
from scipy.ndimage import map_coordinates

HERE = Path(__file__).resolve().parent
TRUE_MM = {600.0: (14.253, 9.273), 1500.0: (16.268, 10.189)}
LONG = [(600.0, -150.0), (900.0, np.nan), (1500.0, -150.0)]


def reference_record():
    """The reference problem's tissue."""
    return replace(
        tissue("gel"), label=0, density_kg_m3=1000.0, specific_heat_j_kgk=3600.0, conductivity_w_mk=0.5, perfusion_w_m3k=3000.0,
        frozen_conductivity_w_mk=2.0, frozen_volumetric_heat_mj_m3k=1.9, latent_heat_mj_m3=250.0,
    )  # fmt: skip


def reference(grid_mm: float, compiled: bool, axis, schedule, probes: int = 1) -> tuple[float, tuple[float, float]]:
    """Seconds, and radii of 0 and -20 C at the end across the first probe."""
    n = int(128 / grid_mm)
    medium = tissue_grid(np.zeros((2 * n,) * 3, np.uint8), grid_mm, 1).medium((reference_record(),), 37.0)
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    middle = np.full(3, (n - 1) / 2) + np.array([0.3, 0.2, 0.1])
    shifts = [np.zeros(3), [0, 12, 0], [0, 0, 12], [0, 12, 12]][:probes]
    surfaces = [ColdSurface(middle + np.asarray(s) / grid_mm, axis, 1.5, 20.0) for s in shifts]
    start = time.perf_counter()
    freezing = Freezing(medium, surfaces, [0.0, -20.0, -40.0], compiled=compiled)
    for until_s, surface_c in schedule:
        freezing.advance(until_s, lambda t, c=surface_c: np.full((len(t), probes), c))
    field = freezing.temperature_c()
    seconds = time.perf_counter() - start
    one = np.cross(axis, [0.3, 1.0, 0.1])
    one /= np.linalg.norm(one)
    r = np.arange(0.5, 30.0, 0.01)
    radii = []
    for isotherm in (0.0, -20.0):
        found = []
        for direction in (one, -one, np.cross(axis, one), -np.cross(axis, one)):
            line = map_coordinates(field, middle[:, None] + np.outer(direction, r) / grid_mm, order=1)
            found.append(r[np.flatnonzero(line <= isotherm)[-1]])
        radii.append(float(np.mean(found)))
    return seconds, (radii[0], radii[1])


def best(function: Callable[[], tuple], times: int = 3) -> tuple:
    """The run of least time: these machines are shared."""
    return min((function() for _ in range(times)), key=lambda row: row[0])


def devito() -> tuple[float, tuple[float, float]] | None:
    """Devito in its own environment (.venv-peers), None when it is not installed."""
    python = HERE.parent / ".venv-peers" / "bin" / "python"
    if not python.is_file():
        return None
    done = subprocess.run(
        [str(python), str(HERE / "peers" / "devito_freeze.py")], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(f"Devito did not run: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found["seconds"], tuple(found["radii_mm"])


def patient() -> tuple[str, object]:
    """A planned case: a real CT where one lies beside the repository, else the phantom."""
    data = Path(os.environ.get("CRYONEURO_SHARED", HERE.parent.parent / "shared")) / "data" / "ct"
    for folder in sorted(data.glob("*")) if data.is_dir() else ():
        image = next(iter(sorted(folder.glob("*ct*.nrrd")) or sorted(folder.glob("*.nrrd"))), None)
        if image is None:
            continue
        try:
            ct = read_ct(image)
            case = replace(new_case(ct), anatomy=segment(ct))
            return f"real CT {folder.name}", plan_step(case, Request("intercostal", probe_count=1))
        except ValueError:
            continue
    phantom = make_phantom()
    labels = LabelMap(phantom.labels_kji, phantom.ct.geometry, phantom.names, "the phantom's truth")
    case = replace(new_case(phantom.ct), anatomy=segment(phantom.ct, labels))
    return "phantom", plan_step(case, Request("intercostal", probe_count=1))


def main() -> int:
    """Print the tables."""
    straight, oblique = (0, 0, 1), (3, 1, -2)
    rows: list[tuple[str, float, tuple[float, float] | None, float]] = []
    peer = devito()
    if peer is not None:
        rows.append(("Devito, 1 mm, 600 s", peer[0], peer[1], 600.0))
    paths = [("compiled", True)] if compiled_available() else []
    for name, compiled in [*paths, ("plain", False)]:
        if compiled:
            reference(2.0, True, straight, LONG[:1])
        for grid_mm, word in ((1.0, "1 mm"), (2.0, "2 mm preview")):
            for axis, turn in ((straight, "straight"), (oblique, "oblique")):
                for schedule, long in ((LONG[:1], "600 s"), (LONG, "25 min")):
                    found = best(partial(reference, grid_mm, compiled, axis, schedule))
                    rows.append((f"{name}, {word}, {long}, {turn}", *found, schedule[-1][0]))
        seconds, _ = best(partial(reference, 1.0, compiled, oblique, LONG, 4))
        rows.append((f"{name}, 1 mm, 25 min, four probes", seconds, None, 1500.0))
    if peer is not None:
        rows.append(("Devito again, 1 mm, 600 s", *(devito() or peer), 600.0))
    print(
        f"{'uniform tissue, 128 x 128 x 128 mm':40} {'seconds':>8} {'Devito /':>9} {'0 C error':>10} {'-20 C error mm':>15}"
    )
    for name, seconds, radii, until_s in rows:
        ratio = f"{peer[0] / seconds:9.1f}" if peer is not None and until_s == 600.0 else " " * 9
        errors = (
            "" if radii is None else f"{radii[0] - TRUE_MM[until_s][0]:10.3f} {radii[1] - TRUE_MM[until_s][1]:15.3f}"
        )
        print(f"{name:40} {seconds:8.3f} {ratio} {errors}")
    if peer is None:
        print("Devito is not installed: make peers")

    what, case = patient()
    plan = replace(case.plan, protocol=protocol("10-5-10"))
    print(f"\n{what + ', freeze 10, thaw 5, freeze 10, thaw 1 min':64} {'seconds':>8}")
    path = plan.probes[0].trajectory
    four = []
    for side in (np.zeros(3), np.array([0.0, 0, 8.0]), np.array([0.0, 0, -8.0]), np.array([0.0, 0, 16.0])):
        four.append(PlannedProbe(plan.probes[0].probe, Trajectory(path.entry_ras_mm + side, path.tip_ras_mm + side)))
    for name, compiled in [*paths, ("plain", False)]:
        cases = (
            ("one probe, 1 mm", plan.probes, 1.0),
            ("four probes, 1 mm", tuple(four), 1.0),
            ("one probe, 2 mm", plan.probes, 2.0),
        )
        for word, probes, grid_mm in cases:
            own = replace(plan, probes=probes)
            box = tissue_box(case.anatomy, own, grid_mm)

            def run(own=own, box=box, compiled=compiled):
                start = time.perf_counter()
                simulate_box(box, own.probes, own.protocol, 1e6, compiled=compiled)
                return (time.perf_counter() - start,)

            grid = " x ".join(str(n) for n in box.geometry.shape_kji)
            print(f"{f'{name}, {word} ({grid})':64} {best(run)[0]:8.3f}")
    start = time.perf_counter()
    simulate(case.anatomy, plan, snapshot_s=60.0)
    print(f"{'all of it with tissue, 27 snapshots and their doses, 1 mm':64} {time.perf_counter() - start:8.3f}")
    nominal = simulate(case.anatomy, plan)
    start = time.perf_counter()
    sampled_doubt(case.anatomy, plan, nominal, 64)
    print(f"{'doubt: 64 runs of the same, two at a time':64} {time.perf_counter() - start:8.3f}")
    code = (
        "import time; s = time.perf_counter()\nimport numpy as np, resource\n"
        "from cryoneuro.thermal import *\nfrom cryoneuro.knowledge import tissue\n"
        "m = medium_from_labels(np.full((128,) * 3, tissue('gel').label), 1.0)\n"
        "f = Freezing(m, [ColdSurface(np.full(3, 63.3), np.array([0, 0.6, 0.8]), 1.5, 20.0)], [0.0, -20.0, -40.0])\n"
        "f.advance(10.0, lambda t: np.full((len(t), 1), -150.0)); a = time.perf_counter() - s\n"
        "f.advance(1500.0, lambda t: np.full((len(t), 1), -150.0)); f.temperature_c(); f.coldest_c(); f.below_s()\n"
        "print(a, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, peak = (float(v) for v in done.stdout.split())
    print(f"{'first call in a fresh process, imports and cached code included':64} {first:8.3f}")
    print(f"{'peak memory at 128 x 128 x 128, GB':64} {peak:8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
