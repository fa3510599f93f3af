"""Draws the skin maps of the open CTs into docs/pictures: best path from every place, and what speaks against the others.

Usage: python scripts/draw_planning.py [FOLDER]; data from the folder `shared` beside the project, or CRYONEURO_SHARED.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from cryoneuro.anatomy import for_target, propose_nerve, segment
from cryoneuro.imaging import read_ct
from cryoneuro.knowledge import nerve, probe
from cryoneuro.planning import skin_map, tried_paths
from cryoneuro.planning.explain import limit_words

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CRYONEURO_SHARED", ROOT.parent / "shared")) / "data" / "ct"
CASES = (
    ("thorabd-arterial-lidc", "intercostal", "left"),
    ("abdpelvis-native-ts", "pudendal", "left"),
    ("hemipelvis-native-sts007", "sciatic", "right"),
)


def main() -> None:
    """Two views from behind for each case: cost of the best path, and the limit that is broken most."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    figure, axes = plt.subplots(len(CASES), 2, figsize=(14, 4.2 * len(CASES)), constrained_layout=True)
    for row, (name, target, side) in zip(axes, CASES, strict=True):
        whole = segment(read_ct(SHARED / name / "ct.nrrd"))
        course = propose_nerve(whole, target, side)
        anatomy = for_target(whole, course)
        found = tried_paths(anatomy, course, probe(nerve(target).default_probe))
        places = skin_map(found)
        r, s = places.entry_ras_mm[:, 0], places.entry_ras_mm[:, 2]
        held = places.limit < 0
        row[0].scatter(r[~held], s[~held], c="0.85", s=4)
        dots = row[0].scatter(r[held], s[held], c=places.cost[held], cmap="viridis_r", s=6)
        figure.colorbar(dots, ax=row[0], label="cost of the best path, lower is better")
        for n in np.unique(places.limit[~held]):
            own = places.limit == n
            row[1].scatter(r[own], s[own], s=4, label=f"{limit_words(found.limit_ids[n])[0]} ({own.sum()})")
        row[1].scatter(r[held], s[held], c="0.85", s=4, label=f"every limit holds ({held.sum()})")
        row[1].legend(fontsize=7, markerscale=3, loc="upper left", bbox_to_anchor=(1.01, 1.0))
        for ax, text in zip(row, ("best path from each place", "what speaks against the others most"), strict=True):
            ax.plot(course.points_ras_mm[:, 0], course.points_ras_mm[:, 2], color="red", lw=2)
            # The doubt of the place is drawn with it.
            for point in course.points_ras_mm[::4]:
                ax.add_patch(plt.Circle((point[0], point[2]), course.sigma_mm, color="red", fill=False, lw=0.6))
            ax.set_title(f"{course.name}: {text}", fontsize=9)
            unknown = ", ".join(anatomy.unknown).replace("_", " ") or "nothing"
            ax.set_xlabel(f"R (mm), seen from behind\nasked for by the target and not segmented: {unknown}", fontsize=8)
            ax.set_ylabel("S (mm)")
            ax.set_aspect("equal")
    path = folder / "skin-maps.png"
    figure.savefig(path, dpi=110)
    print(path)


if __name__ == "__main__":
    main()
