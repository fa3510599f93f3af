"""Measures the automatic anatomy against the labels of real CTs, and its time. Prints tables.

The labels are machine made where their PROVENANCE says so: agreement with them is agreement, not truth. Data: the folder
`shared` beside the project, or CRYONEURO_SHARED.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from cryoneuro.anatomy import grow_structure, nerve_from_points, segment
from cryoneuro.imaging import from_sitk, label_on_grid, read_ct, read_label_map, to_sitk
from cryoneuro.model import Anatomy, CtVolume
from scipy import ndimage

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "CryoNeurolysis" / "Testing" / "Python" / "validation"))
SHARED = Path(os.environ.get("CRYONEURO_SHARED", REPOSITORY.parent / "shared"))
CASES = ("thorabd-arterial-lidc", "thorax-cta-dissection-ts", "abdpelvis-native-ts", "hemipelvis-native-sts007")
BONES = ("rib", "vert", "sacrum", "hip", "femur", "scapula", "sternum", "clavicula", "humerus", "skull")
NOT_BONE = ("aorta", "iliac_", "inferior_vena", "superior_vena", "portal", "heart", "pulmonary", "kidney", "colon")
NOT_BONE = (*NOT_BONE, "small_bowel", "duodenum", "celiac", "superior_mesenteric", "brachio", "common_car", "subclav")


@dataclass
class Labeled:
    """A CT's automatic anatomy, and its labels on the same grid."""

    name: str
    ct: CtVolume
    anatomy: Anatomy
    seconds: float
    labels: np.ndarray
    names: dict[int, str]

    def of(self, *starts: str) -> np.ndarray:
        return np.isin(self.labels, [v for v, n in self.names.items() if n.startswith(starts)])

    def group(self, *groups: str) -> np.ndarray:
        masks = [s.mask_kji for s in self.anatomy.structures if s.group in groups]
        return np.logical_or.reduce(masks) if masks else np.zeros(self.labels.shape, bool)


def load(name: str) -> Labeled:
    folder = SHARED / "data" / "ct" / name
    ct, labels = read_ct(folder / "ct.nrrd"), read_label_map(folder / "labels.nrrd")
    start = time.perf_counter()
    anatomy = segment(ct)
    seconds = time.perf_counter() - start
    grid = label_on_grid(labels.labels_kji, labels.geometry, anatomy.geometry)
    return Labeled(name, ct, anatomy, seconds, grid, labels.names)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2.0 * (a & b).sum() / max(1, a.sum() + b.sum()))


def agreement(case: Labeled) -> None:
    from test_real_anatomy import skin_within

    spacing = case.anatomy.geometry.spacing_mm[0]
    print(f"\n{case.name}: {case.anatomy.geometry.shape_kji} voxels of {spacing:g} mm, {case.seconds:.1f} s")
    bone = case.group("bone")
    rows: list[tuple[str, float | None, str]] = []
    lungs = case.of("lung_")
    if lungs.any():
        rows.append(("lungs, Dice", dice(case.group("lung"), lungs), "at least 0.97"))
    cord = case.of("spinal_cord")
    if cord.any():
        rows.append(
            ("spinal canal, recall", float((case.group("spinal_canal") & cord).sum() / cord.sum()), "at least 0.90")
        )
    if case.group("spinal_canal").any():
        canal = case.group("spinal_canal")
        rows.append(("spinal canal inside our bone", float((canal & bone).sum() / canal.sum()), "0"))
        labeled = case.of("vert")
        if labeled.any():
            rows.append(("spinal canal inside labeled vertebrae", float((canal & labeled).sum() / canal.sum()), "0"))
    labeled = case.of(*BONES)
    if labeled.any():
        far = ndimage.distance_transform_edt(~bone) * spacing
        rows.append(("labeled bone within 2 mm of ours", float((far[labeled] <= 2.0).mean()), "at least 0.95"))
    soft = case.of(*NOT_BONE)
    if soft.any():
        rows.append(
            ("ours inside vessels, kidneys, bowel", float((bone & soft).sum() / max(1, bone.sum())), "under 0.02")
        )
    aorta = case.of("aorta")
    if aorta.any():
        found = case.group("aorta")
        if case.group("vessel", "aorta").any():
            rows.append(("aorta, Dice where ours runs", dice(*_same_slices(found, aorta)), "at least 0.90"))
            rows.append(("aorta, Dice", dice(found, aorta), "at least 0.90"))
            share = (case.group("aorta", "vessel") & aorta).sum() / aorta.sum()
            rows.append(("labeled aorta inside aorta or vessels", float(share), ""))
        else:
            rows.append(("vessels on a native CT", 0.0, "none"))
    rows.append(("skin within 2 mm of the air boundary", skin_within(case.ct, case.anatomy, 2.0), "at least 0.99"))
    for what, value, wanted in rows:
        print(f"  {what:44s} {value:8.3f}   {wanted}")


def _same_slices(ours: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = ours.any(axis=(1, 2))
    return ours[used], labels[used]


def speed() -> None:
    """512 x 512 x 300 voxels of a real CT, and the two tools that a person waits for."""
    ct = read_ct(SHARED / "data" / "ct" / "abdpelvis-native-ts" / "ct.nrrd")
    image = to_sitk(ct.array_kji, ct.geometry)
    size = np.array([512, 512, 300])
    spacing = np.array(image.GetSpacing()) * np.array(image.GetSize()) / size
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(image)
    resampler.SetSize([int(n) for n in size])
    resampler.SetOutputSpacing([float(s) for s in spacing])
    array, geometry = from_sitk(resampler.Execute(image))
    large = CtVolume(array, geometry)
    start = time.perf_counter()
    anatomy = segment(large)
    print(f"\n512 x 512 x 300: segmentation {time.perf_counter() - start:.1f} s (wanted: under 20)")
    geometry = anatomy.geometry
    middle = geometry.center_ras_mm
    start = time.perf_counter()
    around = middle + 25.0 * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    grow_structure(large, anatomy, "clicked", "kidney", [middle], around)
    print(f"seeded structure {time.perf_counter() - start:.2f} s (wanted: under 3)")
    start = time.perf_counter()
    nerve_from_points(anatomy, "pudendal", _two_in_fat(anatomy), follow=True)
    print(f"nerve path between two clicks {time.perf_counter() - start:.2f} s (wanted: under 0.5)")


def _two_in_fat(anatomy: Anatomy) -> np.ndarray:
    from cryoneuro.knowledge import tissue

    fat = ndimage.binary_erosion(anatomy.tissue.labels_kji == tissue("fat").label, iterations=3)
    kji = np.argwhere(fat)
    start = kji[len(kji) // 2]
    near = kji[np.abs(np.linalg.norm(kji - start, axis=1) * anatomy.geometry.spacing_mm[0] - 40.0) < 2.0]
    return anatomy.geometry.ijk_to_ras_mm(np.stack([start, near[0]])[:, ::-1])


def main() -> int:
    if not (SHARED / "data" / "ct").is_dir():
        print(f"The CTs are not there ({SHARED}); set CRYONEURO_SHARED.")
        return 0
    for name in CASES:
        agreement(load(name))
    speed()
    return 0


if __name__ == "__main__":
    sys.exit(main())
