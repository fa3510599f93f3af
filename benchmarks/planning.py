"""Measures the planner on real CTs: sweep, ranking, one dragged path, and the method of one ray per skin point. Prints tables.

The other method, as planners of this field use it: all structures as one surface in a BSP tree, one ray from every skin
vertex to the target, hit or no hit. It gives no clearance; the ratio is time per path. Data: the folder `shared` beside the
project, or CRYONEURO_SHARED.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import vtk
from cryoneuro.anatomy import for_target, propose_nerve, segment
from cryoneuro.imaging import read_ct
from cryoneuro.knowledge import nerve, probe, protocol
from cryoneuro.model import Anatomy, CandidateSet
from cryoneuro.planning import manual_plan, pareto_front, ranked, skin_map, tried_paths
from cryoneuro.planning.clearance import avoided
from CryoNeurolysisLib.scene.convert import isosurface

SHARED = Path(os.environ.get("CRYONEURO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
CASES = (
    ("thorabd-arterial-lidc", "celiac_plexus", "left"),
    ("thorabd-arterial-lidc", "intercostal", "left"),
    ("abdpelvis-native-ts", "pudendal", "left"),
    ("hemipelvis-native-sts007", "sciatic", "right"),
)


def timed(action: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def bsp_rays(anatomy: Anatomy, found: CandidateSet, passable: frozenset[str], target_ras_mm: np.ndarray) -> tuple:
    """Seconds to build the tree, seconds for one ray from every entry to the target, and the entries without a hit."""
    geometry = anatomy.geometry
    union = np.logical_or.reduce([s.mask_kji for s in avoided(anatomy, passable)])

    def build() -> object:
        edges = isosurface(union, geometry, 0.5)
        tree = vtk.vtkModifiedBSPTree()
        tree.SetDataSet(edges)
        tree.BuildLocator()
        return edges, tree

    build_s, built = timed(build)
    _, tree = built
    entries = np.unique(found.entry_ras_mm, axis=0)
    place, inner = [0.0] * 3, [0.0] * 3
    t, part, cell = vtk.mutable(0.0), vtk.mutable(0), vtk.mutable(0)

    def rays() -> int:
        return sum(
            not tree.IntersectWithLine(entry, target_ras_mm, 1e-6, t, place, inner, part, cell) for entry in entries
        )

    ray_s, free = timed(rays)
    return build_s, ray_s, len(entries), free


def row(name: str, target: str, side: str) -> None:
    """One case: every number measured once, in one process."""
    whole = segment(read_ct(SHARED / "data" / "ct" / name / "ct.nrrd"))
    course, record = propose_nerve(whole, target, side), nerve(target)
    anatomy, needle = for_target(whole, course), probe(record.default_probe)
    first_s, _ = timed(lambda: tried_paths(anatomy, course, needle))
    again_s, found = timed(lambda: tried_paths(anatomy, course, needle))
    rank_s, _ = timed(lambda: ranked(found, {"length": 3.0}))
    front_s, front = timed(lambda: pareto_front(found))
    map_s, _ = timed(lambda: skin_map(found))
    path = found.trajectory(int(found.order[0]))

    def drawn() -> object:
        return manual_plan(anatomy, course, needle, schedule, path.entry_ras_mm, path.tip_ras_mm)

    schedule = protocol(record.default_protocol)
    exact_s, _ = timed(drawn)
    drag_s = max(timed(drawn)[0] for _ in range(20))
    groups = len({s.group for s in avoided(anatomy, record.passable)})
    middle = course.at(0.5 * float(course.arc_length_mm[-1]))[0]
    build_s, ray_s, count, free = bsp_rays(anatomy, found, record.passable, middle)
    scaled_s = again_s * 50_000 / len(found) * 10 / groups
    ratio = (ray_s / count) / (again_s / len(found))
    print(
        f"| {name}, {target} | {len(found)}, {len(found.order)} | {groups} | {first_s:.2f} s | {again_s:.2f} s | "
        f"{scaled_s:.2f} s | {1000 * rank_s:.0f} ms | {len(front)}, {1000 * front_s:.0f} ms | {1000 * map_s:.0f} ms | "
        f"{1000 * exact_s:.0f} ms, {1000 * drag_s:.0f} ms | {build_s:.2f} s + {1e6 * ray_s / count:.0f} us, "
        f"{free} of {count} free | "
        f"{ratio:.1f} |"
    )


def main() -> None:
    print("| case | paths, accepted | groups | first, with maps | again, maps kept | per 50,000 x 10 | rank again | "
          "front | skin map | one path, dragged on | BSP tree, one ray | time per path, ray / ours |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, target, side in CASES:
        if (SHARED / "data" / "ct" / name).is_dir():
            row(name, target, side)
        else:
            print(f"| {name} | the real test data are not there |")


if __name__ == "__main__":
    main()
