"""Draws the automatic anatomy and every proposed course on the open CTs into docs/pictures. Look at them after a change.

Usage: python scripts/draw_anatomy.py [FOLDER]; data from the folder `shared` beside the project, or CRYONEURO_SHARED.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from cryoneuro.anatomy import propose_nerve, segment
from cryoneuro.imaging import on_grid, read_ct, read_label_map
from cryoneuro.model import Anatomy, AnatomyError, CtVolume, Nerve

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CRYONEURO_SHARED", ROOT.parent / "shared")) / "data" / "ct"
CASES = (
    ("thorabd-arterial-lidc", "arterial chest and abdomen"),
    ("thorax-cta-dissection-ts", "aortic dissection, view inside the body"),
    ("abdpelvis-native-ts", "native, 3 mm, nail"),
    ("hemipelvis-native-sts007", "native half pelvis"),
)
COLORS = {"body": "yellow", "bone": "cyan", "metal": "white", "streaks": "gray", "lung": "lime", "trachea": "magenta"}
COLORS |= {"gas": "orange", "vessel": "red", "aorta": "magenta", "spinal_canal": "dodgerblue", "apart": "olive"}
TARGETS = ("pudendal", "sciatic", "obturator", "lateral_femoral_cutaneous", "ganglion_impar", "superior_hypogastric")
TARGETS = (*TARGETS, "medial_branch", "lumbar_sympathetic", "splanchnic", "celiac_plexus", "intercostal")


def draw(ax, hu: np.ndarray, anatomy: Anatomy, axis: str, index: int, nerve: Nerve | None = None) -> None:
    """One plane of the CT with the structures' outlines, seen from the feet or from the front."""
    geometry = anatomy.geometry
    cut = {"k": (index,), "j": (slice(None), index), "i": (slice(None), slice(None), index)}[axis]
    across, up = {"k": (0, 1), "j": (0, 2), "i": (1, 2)}[axis]
    origin, step = geometry.ijk_to_ras[:3, 3], geometry.spacing_mm[0]
    plane = hu[cut]
    extent = [
        origin[across],
        origin[across] + step * (plane.shape[1] - 1),
        origin[up],
        origin[up] + step * (plane.shape[0] - 1),
    ]
    ax.imshow(plane, origin="lower", cmap="gray", vmin=-160, vmax=280, extent=extent)
    for structure in anatomy.structures:
        mask = structure.mask_kji[cut]
        if structure.group in COLORS and mask.any() and not mask.all():
            ax.contour(mask.astype(float), [0.5], colors=[COLORS[structure.group]], linewidths=0.6, extent=extent)
    if nerve is not None:
        points = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]), 1.0))
        normal = {"k": 2, "j": 1, "i": 0}[axis]
        near = np.abs(points[:, normal] - (origin[normal] + step * index)) < 3.0
        middle = points[near].mean(axis=0) if near.any() else points.mean(axis=0)
        # The doubt of the place is drawn with it.
        ax.add_patch(plt.Circle((middle[across], middle[up]), nerve.sigma_mm, color="gold", fill=False, lw=1.0))
        ax.plot(points[near][:, across], points[near][:, up], ".", color="gold", ms=3)
        ax.set_xlim(middle[across] - 60, middle[across] + 60)
        ax.set_ylim(middle[up] - 60, middle[up] + 60)
    if axis != "i":
        ax.invert_xaxis()
    ax.set_xticks([])
    ax.set_yticks([])


def structures(folder: Path) -> None:
    figure, axes = plt.subplots(len(CASES), 5, figsize=(15, 11.5))
    for row, (name, text) in zip(axes, CASES, strict=True):
        ct = read_ct(SHARED / name / "ct.nrrd")
        anatomy = segment(ct)
        hu = on_grid(ct, anatomy.geometry).array_kji
        for ax, share in zip(row, (0.1, 0.35, 0.6, 0.85, None), strict=True):
            if share is None:
                canal = anatomy.structure("spinal_canal").mask_kji
                draw(ax, hu, anatomy, "i", round(np.nonzero(canal)[2].mean()))
            else:
                draw(ax, hu, anatomy, "k", round(share * hu.shape[0]))
        row[0].set_title(text, fontsize=8, loc="left")
    figure.tight_layout()
    figure.savefig(folder / "anatomy-structures.png", dpi=80)


def courses(folder: Path) -> None:
    shown: list[tuple[str, CtVolume, Anatomy, Nerve]] = []
    for name, with_labels in ((CASES[2][0], True), (CASES[3][0], False), (CASES[0][0], True)):
        ct = read_ct(SHARED / name / "ct.nrrd")
        anatomy = segment(ct, read_label_map(SHARED / name / "labels.nrrd") if with_labels else None)
        for target in TARGETS:
            if name != CASES[3][0] and any(s[3].target_id == target for s in shown):
                continue
            try:
                nerve = propose_nerve(anatomy, target, "right" if name == CASES[3][0] else "left")
            except AnatomyError:
                continue
            shown.append((name, ct, anatomy, nerve))
    columns = 6
    figure, axes = plt.subplots(-(-len(shown) // columns), columns, figsize=(15, 2.75 * -(-len(shown) // columns)))
    for ax in axes.ravel()[len(shown) :]:
        ax.axis("off")
    for ax, (name, ct, anatomy, nerve) in zip(axes.ravel(), shown, strict=False):
        middle = nerve.at(0.5 * float(nerve.arc_length_mm[-1]))[0]
        i, _, k = np.rint(anatomy.geometry.ras_to_ijk(middle)[0]).astype(int)
        sagittal = nerve.target_id in ("ganglion_impar", "superior_hypogastric", "intercostal")
        hu = on_grid(ct, anatomy.geometry).array_kji
        draw(ax, hu, anatomy, "i" if sagittal else "k", i if sagittal else k, nerve)
        ax.set_title(f"{nerve.name}\n{name}", fontsize=6)
    figure.tight_layout()
    figure.savefig(folder / "anatomy-courses.png", dpi=80)


def main() -> int:
    if not SHARED.is_dir():
        print(f"The CTs are not there ({SHARED}); set CRYONEURO_SHARED.")
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    structures(folder)
    courses(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
