"""CTs that go wrong easily: positions, arms, tables, stones, metal, strong contrast, thick slices, small fields of view."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.anatomy import segment, skin_entries
from cryoneuro.anatomy.landmarks import aorta_course, scratch_anatomy
from cryoneuro.imaging import Phantom, label_on_grid, make_phantom
from cryoneuro.model import Anatomy, AnatomyError, CtVolume, Structure, StructureRole, VolumeGeometry
from scipy import ndimage


def coordinates(geometry: VolumeGeometry) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R, A, S of every voxel (k, j, i)."""
    kji = np.indices(geometry.shape_kji)
    points = geometry.ijk_to_ras_mm(np.column_stack([kji[2].ravel(), kji[1].ravel(), kji[0].ravel()]))
    r, a, s = points.T.reshape(3, *geometry.shape_kji)
    return r, a, s


def straight(shape: tuple[int, int, int], corner_ras_mm: list[float]) -> VolumeGeometry:
    """A grid of 2 mm along R, A and S."""
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = corner_ras_mm
    return VolumeGeometry(shape, matrix)


def truth(phantom: Phantom, anatomy: Anatomy, *names: str) -> np.ndarray:
    values = [v for v, n in phantom.names.items() if n in names]
    return np.isin(label_on_grid(phantom.labels_kji, phantom.ct.geometry, anatomy.geometry), values)


def changed(phantom: Phantom, array: np.ndarray) -> CtVolume:
    return replace(phantom.ct, array_kji=array)


def widened(ct: CtVolume, voxels: int) -> CtVolume:
    """The CT with air on both sides."""
    array = np.pad(ct.array_kji, ((0, 0), (voxels, voxels), (voxels, voxels)), constant_values=-1000)
    rng = np.random.default_rng(5)
    air = array == -1000
    array[air] = np.clip(rng.normal(-1000, 8, int(air.sum())), -1024, None)
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = ct.geometry.ijk_to_ras_mm([[-voxels, -voxels, 0]])[0]
    return CtVolume(array, VolumeGeometry(array.shape, matrix))


@pytest.mark.parametrize("where", ["in front", "left", "right"])
def test_the_table_may_lie_on_any_side(phantom: Phantom, where: str) -> None:
    """Prone and decubitus: the patient's axes stay, the table lies elsewhere, flush with the skin."""
    ct = widened(phantom.ct, 12)
    r, a, s = coordinates(ct.geometry)
    array = ct.array_kji.copy()
    array[(a < -108) & (np.abs(s) < 95)] = -1000
    flat = {"in front": a - 105.0, "left": -r - 150.0, "right": r - 150.0}[where]
    array[(flat > 1.0) & (flat < 7.0)] = -60
    anatomy = segment(CtVolume(array, ct.geometry), grid_mm=2.0)
    r, a, s = coordinates(anatomy.geometry)
    form = np.hypot(r / 150.0, a / 105.0)
    assert form[anatomy.body_kji].max() < 1.05, "no table in the body"
    apart = anatomy.structure("apart").mask_kji
    assert apart.any() and not (apart & anatomy.body_kji).any()
    points = skin_entries(anatomy).points_ras_mm
    side = points[np.abs(points[:, 2]) < 70]
    assert np.abs(np.hypot(side[:, 0] / 150, side[:, 1] / 105) - 1).max() < 0.04


@pytest.mark.parametrize("middle_mm", [200.0, 184.0], ids=["apart", "touching"])
def test_an_arm_beside_the_trunk_is_no_skin_to_enter(phantom: Phantom, middle_mm: float) -> None:
    ct = widened(phantom.ct, 45)
    r, a, s = coordinates(ct.geometry)
    array = ct.array_kji.copy()
    arm = (np.hypot(r + middle_mm, a) < 38.0) & (np.hypot(r / 150.0, a / 105.0) > 1.0) & (np.abs(s) < 78.0)
    array[arm] = 50
    bone = (np.hypot(r + middle_mm, a) < 12.0) & (np.abs(s) < 78.0)
    array[bone] = 700
    array[bone & (np.hypot(r + middle_mm, a) < 8.0) & (np.abs(s) < 72.0)] = -40
    anatomy = segment(CtVolume(array, ct.geometry), grid_mm=2.0)
    points = skin_entries(anatomy).points_ras_mm
    # Where the arm lies against the trunk, its mask may hold a voxel or two of the trunk's skin.
    assert points[:, 0].min() > -155.0
    on_grid = label_on_grid(arm.astype(np.uint8), ct.geometry, anatomy.geometry) > 0
    arms = anatomy.structure("arms").mask_kji
    assert (arms & on_grid).sum() > 0.96 * on_grid.sum() and (anatomy.body_kji & on_grid).sum() < 0.03 * on_grid.sum()
    assert not (arms & anatomy.body_kji).any()
    r, a, s = coordinates(anatomy.geometry)
    trunk = (np.hypot(r / 150.0, a / 105.0) < 0.95) & (np.abs(s) < 78.0)
    assert (anatomy.body_kji & trunk).sum() == trunk.sum(), "nothing is taken from the trunk"
    on_grid = label_on_grid(bone.astype(np.uint8), ct.geometry, anatomy.geometry) > 0
    assert (anatomy.structure("arm_bones").mask_kji & on_grid).sum() > 0.9 * on_grid.sum()
    assert not (anatomy.structure("bone").mask_kji & on_grid).any()


def test_a_fold_of_the_trunk_without_bone_is_no_arm(phantom: Phantom) -> None:
    ct = widened(phantom.ct, 45)
    r, a, s = coordinates(ct.geometry)
    array = ct.array_kji.copy()
    fold = (np.hypot(r + 184.0, a) < 38.0) & (np.hypot(r / 150.0, a / 105.0) > 1.0)
    array[fold & (np.abs(s) < 78.0)] = -90
    anatomy = segment(CtVolume(array, ct.geometry), grid_mm=2.0)
    assert not anatomy.has_group("arm")
    assert skin_entries(anatomy).points_ras_mm[:, 0].min() < -210.0


def test_two_legs_are_both_the_body() -> None:
    shape = (60, 70, 150)
    geometry = straight(shape, [-149.0, -69.0, 0.0])
    r, a, _ = coordinates(geometry)
    rng = np.random.default_rng(2)
    hu = rng.normal(-1000, 10, shape)
    legs = []
    for middle, radius in ((-80.0, 55.0), (80.0, 44.0)):
        leg = np.hypot(r - middle, a) < radius
        legs.append(leg)
        hu[leg] = 50
        hu[np.hypot(r - middle, a) < 14.0] = 900
        hu[np.hypot(r - middle, a) < 8.0] = -60
    anatomy = segment(CtVolume(np.clip(hu, -1024, 3071).astype(np.int16), geometry), grid_mm=2.0)
    for leg in legs:
        on_grid = label_on_grid(leg.astype(np.uint8), geometry, anatomy.geometry) > 0
        assert (anatomy.body_kji & on_grid).sum() > 0.95 * on_grid.sum()
    marrow = label_on_grid((np.hypot(np.abs(r) - 80.0, a) < 7.0).astype(np.uint8), geometry, anatomy.geometry) > 0
    inner = marrow.copy()
    inner[:2] = inner[-2:] = False
    assert (anatomy.structure("bone").mask_kji & inner).sum() > 0.95 * inner.sum(), "fatty marrow belongs to the bone"
    assert not anatomy.has_group("lung") and not anatomy.has_group("spinal_canal")


@pytest.mark.parametrize("blood_hu", [160, 280, 520])
def test_contrast_of_any_strength_is_no_bone(phantom: Phantom, blood_hu: int) -> None:
    array = phantom.ct.array_kji.copy()
    aorta = phantom.labels_kji == next(v for v, n in phantom.names.items() if n == "aorta")
    array[aorta] += blood_hu - 280
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    wanted = truth(phantom, anatomy, "aorta")
    bone = anatomy.structure("bone").mask_kji
    assert (bone & wanted).sum() < 0.02 * wanted.sum()
    vessels = np.logical_or.reduce([s.mask_kji for s in anatomy.structures if s.group in ("aorta", "vessel")])
    assert (vessels & wanted).sum() > 0.85 * wanted.sum()
    bones = truth(phantom, anatomy, "ribs", "vertebrae")
    assert (vessels & bones).sum() < 0.02 * bones.sum()


def test_a_stone_is_no_bone(phantom: Phantom) -> None:
    array = phantom.ct.array_kji.copy()
    r, a, s = coordinates(phantom.ct.geometry)
    stone = np.sqrt((r - 62) ** 2 + (a + 28) ** 2 + (s + 50) ** 2) < 6.0
    array[stone] = 900
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    on_grid = label_on_grid(stone.astype(np.uint8), phantom.ct.geometry, anatomy.geometry) > 0
    assert not (anatomy.structure("bone").mask_kji & on_grid).any()
    assert (anatomy.structure("calcified").mask_kji & on_grid).sum() > 0.6 * on_grid.sum()


def test_metal_is_metal_and_its_streaks_are_marked(phantom: Phantom) -> None:
    array = phantom.ct.array_kji.copy()
    r, a, s = coordinates(phantom.ct.geometry)
    nail = (np.hypot(r - 60.0, a - 20.0) < 5.0) & (s < -40.0) & (s > -70.0)
    band = (np.abs(a - 20.0) < 3.0) & (np.abs(r - 60.0) < 45.0) & (s < -40.0) & (s > -70.0) & ~nail
    array[nail] = 3071
    array[band & (r > 60.0)] = -350
    array[band & (r < 60.0)] = 220
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    metal = label_on_grid(nail.astype(np.uint8), phantom.ct.geometry, anatomy.geometry) > 0
    assert (anatomy.structure("metal").mask_kji & metal).sum() > 0.8 * metal.sum()
    assert not (anatomy.structure("bone").mask_kji & metal).any()
    streaks = anatomy.structure("streaks").mask_kji
    bands = label_on_grid(band.astype(np.uint8), phantom.ct.geometry, anatomy.geometry) > 0
    r2, _, _ = coordinates(anatomy.geometry)
    dark, bright = bands & (r2 > 66.0) & (r2 < 90.0), bands & (r2 < 54.0) & (r2 > 30.0)
    assert (streaks & dark).sum() > 0.6 * dark.sum() and (streaks & bright).sum() > 0.6 * bright.sum()
    assert any("Metal" in note for note in anatomy.notes)
    assert streaks.sum() < 0.05 * anatomy.body_kji.sum()


def test_slices_of_5_mm() -> None:
    """Every canal, lung and bone test holds a little less well, but nothing is lost or taken for something else."""
    phantom = make_phantom(2.5)
    fine = phantom.ct
    pairs = fine.array_kji[: len(fine.array_kji) // 2 * 2].reshape(-1, 2, *fine.array_kji.shape[1:])
    array = np.rint(pairs.mean(axis=1)).astype(np.int16)
    matrix = fine.geometry.ijk_to_ras.copy()
    matrix[:3, 2] *= 2.0
    matrix[:3, 3] = fine.geometry.ijk_to_ras_mm([[0, 0, 0.5]])[0]
    anatomy = segment(CtVolume(array, VolumeGeometry(array.shape, matrix)), grid_mm=2.0)
    lungs = anatomy.structure("lung_left").mask_kji | anatomy.structure("lung_right").mask_kji
    wanted = truth(phantom, anatomy, "lung_lower_lobe_left", "lung_lower_lobe_right")
    assert 2 * (lungs & wanted).sum() / (lungs.sum() + wanted.sum()) > 0.9
    canal = anatomy.structure("spinal_canal").mask_kji
    cord = ndimage.binary_erosion(truth(phantom, anatomy, "spinal_cord"), iterations=2)
    k = np.flatnonzero(canal.any(axis=(1, 2)))
    assert (canal & cord)[k].sum() > 0.9 * cord[k].sum()
    bone = anatomy.structure("bone").mask_kji
    soft = truth(phantom, anatomy, "aorta", "kidney_left", "kidney_right", "colon", "spinal_cord")
    assert (bone & soft).sum() < 0.03 * bone.sum()


def test_a_field_of_view_inside_the_body_has_no_skin(phantom: Phantom) -> None:
    r, a, s = coordinates(phantom.ct.geometry)
    inside = (np.abs(r) < 90) & (a > -90) & (a < 55) & (np.abs(s) < 70)
    kji = np.argwhere(inside)
    low, high = kji.min(axis=0), kji.max(axis=0) + 1
    part = phantom.ct.array_kji[low[0] : high[0], low[1] : high[1], low[2] : high[2]].copy()
    matrix = phantom.ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = phantom.ct.geometry.ijk_to_ras_mm(low[None, ::-1])[0]
    anatomy = segment(CtVolume(part, VolumeGeometry(part.shape, matrix)), grid_mm=2.0)
    assert anatomy.body_kji.mean() > 0.9
    assert len(skin_entries(anatomy).points_ras_mm) == 0
    lungs = truth(phantom, anatomy, "lung_lower_lobe_left", "lung_lower_lobe_right")
    lungs[:2] = lungs[-2:] = False
    found = np.logical_or.reduce([s.mask_kji for s in anatomy.structures if s.group == "lung"])
    assert (found & lungs).sum() > 0.9 * lungs.sum()


def test_fluid_beside_a_lung_is_neither_lung_nor_muscle(phantom: Phantom) -> None:
    array = phantom.ct.array_kji.copy()
    _, a, _ = coordinates(phantom.ct.geometry)
    lung = phantom.labels_kji == next(v for v, n in phantom.names.items() if n == "lung_lower_lobe_right")
    fluid = lung & (a < -20.0)
    array[fluid] = np.clip(np.random.default_rng(3).normal(8, 8, int(fluid.sum())), -20, 40)
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    wanted = label_on_grid(fluid.astype(np.uint8), phantom.ct.geometry, anatomy.geometry) > 0
    found = anatomy.structure("fluid_beside_lung").mask_kji
    assert (found & wanted).sum() > 0.7 * wanted.sum()
    assert (found & wanted).sum() > 0.6 * found.sum()
    assert not (anatomy.structure("lung_right").mask_kji & ndimage.binary_erosion(wanted)).any()


def test_the_marrow_of_a_long_bone_is_no_spinal_canal() -> None:
    """A thigh: red marrow in a thick shaft that opens to one side near its end, as toward a trochanter."""
    geometry = straight((70, 70, 80), [-79.0, -69.0, 0.0])
    r, a, s = coordinates(geometry)
    array = np.full(geometry.shape_kji, -1000, np.int16)
    array[np.hypot(r, a) < 62.0] = 50
    shaft = np.hypot(r, a) < 18.0
    array[shaft] = 900
    array[np.hypot(r, a) < 9.0] = 15
    array[(s > 110.0) & (r > 0.0) & (np.abs(a) < 7.0) & shaft] = 15
    noise = np.random.default_rng(3).normal(0, 8, array.shape)
    anatomy = segment(CtVolume((array + noise).clip(-1024).astype(np.int16), geometry), grid_mm=2.0)
    assert not anatomy.has_group("spinal_canal")


def test_an_electrode_on_the_skin_is_no_skin(phantom: Phantom) -> None:
    r, a, s = coordinates(phantom.ct.geometry)
    array = phantom.ct.array_kji.copy()
    stuck = (np.abs(r - 10.0) < 9.0) & (np.abs(s) < 9.0) & (a > 104.0) & (a < 114.0)
    array[stuck] = 600
    array[stuck & (np.abs(r - 10.0) < 3.0) & (np.abs(s) < 3.0)] = 3000
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    points = skin_entries(anatomy).points_ras_mm
    front = points[(np.abs(points[:, 0] - 10.0) < 12.0) & (np.abs(points[:, 2]) < 12.0) & (points[:, 1] > 0)]
    assert len(front) and front[:, 1].max() < 108.0


@pytest.mark.parametrize("radius_mm", [95.0, 103.0], ids=["large", "a pocket"])
def test_foam_under_a_thigh_is_no_lung(radius_mm: float) -> None:
    """A wedge of foam between a side of the picture and the thigh, as bright as lung, with no bone near."""
    geometry = straight((70, 80, 80), [-79.0, -79.0, 0.0])
    r, a, _ = coordinates(geometry)
    array = np.full(geometry.shape_kji, 40, np.int16)
    array[a > 65.0] = -1000
    array[np.hypot(r, a) < 14.0] = 900
    array[(np.hypot(r, a) > radius_mm) & (r < 0.0) & (a < 0.0)] = -720
    noise = np.random.default_rng(4).normal(0, 10, array.shape)
    anatomy = segment(CtVolume((array + noise).clip(-1024).astype(np.int16), geometry), grid_mm=2.0)
    assert not anatomy.has_group("lung")


@pytest.mark.parametrize("radius_mm, gap_mm, is_aorta", [(11.0, 5.0, True), (24.0, 16.0, False)])
def test_a_heart_off_the_spine_is_no_aorta(radius_mm: float, gap_mm: float, is_aorta: bool) -> None:
    geometry = straight((40, 100, 80), [-79.0, -79.0, 0.0])
    r, a, _ = coordinates(geometry)
    vertebra = (np.hypot(r, a - 0.0) < 20.0) | (np.hypot(r, a + 32.0) < 14.0)
    canal = np.hypot(r, a + 28.0) < 8.0
    blood = np.hypot(r + 6.0, a - (20.0 + gap_mm + radius_mm)) < radius_mm
    masks = {
        "body": np.hypot(r, a) < 78.0,
        "bone": vertebra & ~canal,
        "spinal_canal": canal,
        "vessel_contrast": blood,
    }
    groups = {"body": StructureRole.BODY}
    found = [
        Structure(
            name,
            "vessel" if "vessel" in name else name,
            groups.get(name, StructureRole.AVOID),
            mask,
            "computed",
            "drawn",
            "high",
        )
        for name, mask in masks.items()
    ]
    anatomy = scratch_anatomy(geometry, found)
    if is_aorta:
        assert len(aorta_course(anatomy).k) == 40
    else:
        with pytest.raises(AnatomyError, match="too far for the aorta"):
            aorta_course(anatomy)


def test_an_empty_ct_is_a_sentence() -> None:
    array = np.random.default_rng(0).normal(-1000, 10, (20, 60, 60)).astype(np.int16)
    matrix = np.diag([3.0, 3.0, 3.0, 1.0])
    with pytest.raises(AnatomyError, match="No body"):
        segment(CtVolume(np.maximum(array, -1024), VolumeGeometry((20, 60, 60), matrix)))


def test_finer_noise_does_not_turn_bone_into_contrast() -> None:
    """A noisy native CT has no vessel, whatever is even in it."""
    phantom = make_phantom(2.0, noise_hu=25.0)
    array = phantom.ct.array_kji.copy()
    aorta = phantom.labels_kji == next(v for v, n in phantom.names.items() if n == "aorta")
    kidneys = np.isin(phantom.labels_kji, [v for v, n in phantom.names.items() if n.startswith("kidney")])
    array[aorta] -= 235
    array[kidneys] -= 95
    anatomy = segment(changed(phantom, array), grid_mm=2.0)
    assert not anatomy.has_group("vessel") and not anatomy.has_group("aorta")
    bone = anatomy.structure("bone").mask_kji
    wanted = truth(phantom, anatomy, "ribs", "vertebrae")
    assert (ndimage.distance_transform_edt(~bone)[wanted] <= 1.0).mean() > 0.93


def test_a_voxel_of_half_fat_is_half_fat() -> None:
    """A trunk of muscle with a known share of fat in it: what the solver gets holds just that share."""
    from cryoneuro.knowledge import tissue
    from cryoneuro.thermal.tissue_box import _mix_fat, nearest_voxels

    shape = (40, 60, 60)
    geometry = straight(shape, [-59.0, -59.0, 0.0])
    r, a, _ = coordinates(geometry)
    rng = np.random.default_rng(7)
    for share in (0.0, 0.3, 0.5, 0.7, 1.0):
        hu = rng.normal(-1000, 8, shape)
        body = np.hypot(r, a) < 52.0
        hu[body] = 50.0 - 150.0 * share + rng.normal(0, 6, int(body.sum()))
        anatomy = segment(CtVolume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), geometry), grid_mm=2.0)
        deep = np.hypot(*coordinates(anatomy.geometry)[:2]) < 40.0
        percent = anatomy.tissue.fat_percent_kji
        assert percent is not None and percent[deep].mean() == pytest.approx(100 * share, abs=1.5)
        half = VolumeGeometry(
            tuple(2 * n for n in anatomy.geometry.shape_kji),
            anatomy.geometry.ijk_to_ras @ np.diag([0.5, 0.5, 0.5, 1.0]),
        )
        grid = nearest_voxels(anatomy, half)
        labels = anatomy.tissue.labels_kji[grid].copy()
        _mix_fat(anatomy, grid, labels)
        inner = deep[grid]
        assert (labels[inner] == tissue("fat").label).mean() == pytest.approx(share, abs=0.04)
        assert np.isin(labels[inner], [tissue("fat").label, tissue("muscle").label]).all()
