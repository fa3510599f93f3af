"""How well alignment and probes are found in virtual scans of the open CTs, against where everything was put.

Usage: live_accuracy.py [SCANS] [FOLDER of the real CTs]. Probes of 1.3 to 2.4 mm at random places and angles, patients moved by
10 mm and turned by 5 degrees, slices of 1 to 5 mm, streaks and noise on; for each kind of scan the errors of tip and axis.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from cryoneuro.anatomy import segment
from cryoneuro.guidance import align, find_probes
from cryoneuro.imaging import read_ct
from cryoneuro.knowledge import probe
from cryoneuro.model import PlannedProbe, Trajectory, moved
from cryoneuro.training import ScanSettings, Shaft, scan_geometry, virtual_scan
from scipy.spatial.transform import Rotation

SHARED = Path(os.environ.get("CRYONEURO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
CASES = ("abdpelvis-native-ts", "thorabd-arterial-lidc", "hemipelvis-native-sts007", "thorax-cta-dissection-ts")
SLICES = ((1.0, 30), (2.0, 20), (3.0, 14), (4.0, 10), (5.0, 10))
KINDS = ("one probe", "softer metal", "much noise", "two probes", "two side by side", "no probe")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    data = Path(sys.argv[2]) if len(sys.argv) > 2 else SHARED / "data" / "ct"
    cts = [read_ct(data / name / "ct.nrrd") for name in CASES]
    anatomies = [segment(ct) for ct in cts]
    print(
        "kind              scans  align mm: median max  refused  tip mm: median 90 %  <= 1 mm  axis deg: median  <= 1  s"
    )
    for kind in KINDS:
        rng = np.random.default_rng(KINDS.index(kind))
        off, tips, axes, false, refused, seconds = [], [], [], 0, 0, []
        for n in range(count):
            ct, anatomy = cts[n % 4], anatomies[n % 4]
            truth = one(rng, kind, n, ct)
            start = time.perf_counter()
            found = align(ct, truth["live"], truth["target"], anatomy)
            if not found.trusted:
                refused += 1
                continue
            there = find_probes(ct, truth["live"], found, truth["plans"], anatomy)
            seconds.append(time.perf_counter() - start)
            gap = moved(found.plan_to_live, truth["target"]) - moved(truth["move"], truth["target"])
            off.append(np.linalg.norm(gap))
            if kind == "no probe":
                false += len(there)
                continue
            for number, (tip, way) in enumerate(truth["real"]):
                hit = [f for f in there if f.planned == number]
                place, turned = moved(truth["move"], tip), truth["move"][:3, :3] @ way
                tips.append(np.linalg.norm(hit[0].tip_ras_mm - place) if hit else 99.0)
                angle = np.rad2deg(np.arccos(min(1.0, float(hit[0].direction_ras @ turned)))) if hit else 90.0
                axes.append(angle)
        line = f"{kind:17} {count:5d}  {np.median(off):14.2f} {max(off):5.2f}  {refused:7d}"
        if tips:
            line += (
                f"  {np.median(tips):14.2f} {np.percentile(tips, 90):5.2f} {100 * np.mean(np.array(tips) <= 1):7.0f} %"
                f"  {np.median(axes):14.2f} {100 * np.mean(np.array(axes) <= 1):5.0f} %"
            )
        else:
            line += f"  probes found where there are none: {false}"
        print(line + f"  {np.mean(seconds):.2f}", flush=True)


def one(rng: np.random.Generator, kind: str, number: int, ct) -> dict:  # type: ignore[no-untyped-def,type-arg]
    """A scan of one kind with what is true in it."""
    slice_mm, slices = SLICES[rng.integers(5)]
    diameter = float(rng.choice([1.3, 1.5, 1.7, 2.1, 2.4]))
    settings = ScanSettings(
        slice_mm=slice_mm,
        slices=slices,
        size=320,
        pixel_mm=float(rng.choice([0.6, 0.75, 0.95])),
        seed=number,
        noise_hu=35.0 if kind == "much noise" else 15.0,
        metal_hu=float(rng.choice([2500, 3500, 6000])) if kind == "softer metal" else 12000.0,
        clip_hu=1e5 if kind == "softer metal" else 3071.0,
    )
    target = ct.geometry.center_ras_mm + rng.uniform(-20, 20, 3) * [1, 1, 0.3]
    turn, shift = rng.normal(size=3), rng.normal(size=3)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.deg2rad(5) * turn / np.linalg.norm(turn)).as_matrix()
    move[:3, 3] = target + 10 * shift / np.linalg.norm(shift) - move[:3, :3] @ target

    def way() -> np.ndarray:
        u = rng.normal(size=3) * [1, 1, 0.3 if slice_mm * slices < 45 else 0.8]
        u[1] = abs(u[1]) + 0.2
        return u / np.linalg.norm(u)

    model = replace(probe("argon_17g_long"), diameter_mm=diameter)
    first, plans, real = way(), [], []
    for n in range(2 if kind.startswith("two") else 1):
        aim, u = target, first
        if n and kind == "two side by side":
            across = np.cross(u, [0, 0, 1.0])
            aim = target + across / np.linalg.norm(across) * (diameter + 0.2)
        elif n:
            aim, u = target + rng.uniform(-12, 12, 3) * [1, 1, 0.5], way()
        wobble = Rotation.from_rotvec(rng.normal(size=3) * np.deg2rad(3))
        really = u if kind == "two side by side" else wobble.apply(u)
        tip = aim + (0 if kind == "two side by side" else rng.normal(size=3) * 3) - 6 * u * rng.uniform(0, 1)
        plans.append(PlannedProbe(model, Trajectory(aim - 80 * u, aim)))
        real.append((tip, really))
    shafts = [Shaft(t - 200 * u, t, diameter, float(rng.choice([0, 1.0]))) for t, u in real]
    geometry = scan_geometry(moved(move, real[0][0]) + rng.uniform(-5, 5, 3) * [1, 1, 0.5], settings)
    live = virtual_scan(ct, geometry, settings, move, () if kind == "no probe" else shafts)
    return {"live": live, "move": move, "target": target, "plans": plans, "real": real}


if __name__ == "__main__":
    main()
