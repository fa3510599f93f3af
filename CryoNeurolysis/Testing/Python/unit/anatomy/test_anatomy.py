"""Segmentation against the phantom's truth, nerve proposals against the course it was built round."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.anatomy import (
    for_target,
    nerve_from_points,
    propose_nerve,
    segment,
    skin_entries,
    structures_from_labels,
)
from cryoneuro.anatomy.labels import group_of, structure_name
from cryoneuro.imaging import LabelMap, Phantom, label_on_grid
from cryoneuro.knowledge import nerve, tissue
from cryoneuro.model import Anatomy, AnatomyError, CancelledError, CtVolume, KnowledgeError, VolumeGeometry
from scipy import ndimage


def truth(phantom: Phantom, anatomy: Anatomy, *names: str) -> np.ndarray:
    values = [v for v, n in phantom.names.items() if n in names]
    labels = label_on_grid(phantom.labels_kji, phantom.ct.geometry, anatomy.geometry)
    return np.isin(labels, values)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_lungs(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    for side in ("left", "right"):
        mask = phantom_anatomy.structure(f"lung_{side}").mask_kji
        assert dice(mask, truth(phantom, phantom_anatomy, f"lung_lower_lobe_{side}")) > 0.97


def test_left_is_left(phantom_anatomy: Anatomy) -> None:
    for side, sign in (("left", -1), ("right", 1)):
        kji = np.argwhere(phantom_anatomy.structure(f"lung_{side}").mask_kji)
        assert sign * phantom_anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1])[:, 0].mean() > 20


def test_bone_is_bone_and_nothing_else(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    bone = phantom_anatomy.structure("bone").mask_kji
    wanted = truth(phantom, phantom_anatomy, "ribs", "vertebrae")
    near = ndimage.distance_transform_edt(~bone) * 2.0
    assert (near[wanted] <= 2.0).mean() > 0.95
    wrong = truth(phantom, phantom_anatomy, "aorta", "kidney_left", "kidney_right", "colon", "spinal_cord")
    assert (bone & wrong).sum() < 0.02 * bone.sum()


def test_aorta_with_contrast(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    wanted = truth(phantom, phantom_anatomy, "aorta")
    found = phantom_anatomy.structure("aorta").mask_kji | phantom_anatomy.structure("vessel_contrast").mask_kji
    assert dice(found, wanted) > 0.85
    assert phantom_anatomy.structure("aorta").diameter_mm == pytest.approx(20.0, abs=3.0)


def without_contrast(phantom: Phantom) -> CtVolume:
    array = phantom.ct.array_kji.copy()
    array[np.isin(phantom.labels_kji, [v for v, n in phantom.names.items() if n == "aorta"])] = 45
    return replace(phantom.ct, array_kji=array)


def test_no_contrast_no_vessel(phantom: Phantom) -> None:
    anatomy = segment(without_contrast(phantom), grid_mm=2.0)
    assert not anatomy.has_group("vessel") and not anatomy.has_group("aorta")
    assert any("No vessel with contrast" in note for note in anatomy.notes)
    with pytest.raises(AnatomyError, match="aorta is not seen"):
        propose_nerve(anatomy, "celiac_plexus")


def test_spinal_canal(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    canal = phantom_anatomy.structure("spinal_canal").mask_kji
    wanted = truth(phantom, phantom_anatomy, "spinal_cord")
    # At 2 mm the rim voxels of a canal of 20 x 16 mm are half bone; the whole rest must be found.
    core = ndimage.binary_erosion(wanted)
    assert (canal & core).sum() > 0.95 * core.sum()
    assert (canal & wanted).sum() > 0.8 * wanted.sum()
    assert not (canal & phantom_anatomy.structure("bone").mask_kji).any()


def test_the_table_is_no_patient(phantom_anatomy: Anatomy) -> None:
    kji = np.argwhere(phantom_anatomy.body_kji)
    back = phantom_anatomy.geometry.ijk_to_ras_mm(kji[:, ::-1])[:, 1].min()
    assert back > -109  # skin ends at -105, the table lies at -113 to -119


def test_body_volume(phantom_anatomy: Anatomy) -> None:
    liters = phantom_anatomy.body_kji.sum() * phantom_anatomy.geometry.voxel_volume_mm3 / 1e6
    assert liters == pytest.approx(np.pi * 150 * 105 * 164 / 1e6, rel=0.02)


def test_skin_points_lie_on_the_ellipse_and_look_outward(phantom_anatomy: Anatomy) -> None:
    skin = skin_entries(phantom_anatomy)
    side = np.abs(skin.points_ras_mm[:, 2]) < 70  # the phantom's flat ends are skin as well
    r, a, _ = skin.points_ras_mm[side].T
    assert side.any() and np.abs(np.hypot(r / 150, a / 105) - 1).max() < 0.03
    normal = np.column_stack([r / 150**2, a / 105**2, 0 * r])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    agree = np.einsum("ij,ij->i", normal, skin.normals_ras[side])
    assert np.median(agree) > 0.99 and agree.min() > 0.9


def test_edge_of_the_field_of_view_is_no_skin(phantom: Phantom) -> None:
    i = phantom.ct.array_kji.shape[2]
    cut = phantom.ct.array_kji[:, :, i // 4 :].copy()
    matrix = phantom.ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = phantom.ct.geometry.ijk_to_ras_mm([i // 4, 0, 0])[0]
    anatomy = segment(CtVolume(cut, VolumeGeometry(cut.shape, matrix)), grid_mm=2.0)
    cut_at = anatomy.geometry.corners_ras_mm[:, 0].max()
    points = skin_entries(anatomy).points_ras_mm
    assert len(points) and points[:, 0].max() < cut_at - 3


def test_a_lung_cut_open_by_the_field_of_view_is_lung_and_its_wall_no_skin(phantom: Phantom) -> None:
    """Cut off the patient's left side through lung and bowel, and the ends, where the phantom stops and patients do not."""
    ct = phantom.ct
    i = round(ct.geometry.ras_to_ijk([-70.0, 0, 0])[0, 0])
    low, high = (round(ct.geometry.ras_to_ijk([0, 0, s])[0, 2]) for s in (-74.0, 74.0))
    matrix = ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = ct.geometry.ijk_to_ras_mm([0, 0, low])[0]
    part = ct.array_kji[low:high, :, :i].copy()
    cut = CtVolume(part, VolumeGeometry(part.shape, matrix))
    anatomy = segment(cut, grid_mm=2.0)
    lung = anatomy.structure("lung_left").mask_kji
    wanted = truth(phantom, anatomy, "lung_lower_lobe_left") & ~anatomy.structure("unmeasured").mask_kji
    assert (lung & wanted).sum() > 0.9 * wanted.sum()
    points = skin_entries(anatomy).points_ras_mm
    side = points[np.abs(points[:, 2]) < 70]
    assert np.abs(np.hypot(side[:, 0] / 150, side[:, 1] / 105) - 1).max() < 0.03, "skin lies on the outer ellipse only"


def test_tissue_map(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    labels = phantom_anatomy.tissue.labels_kji
    assert (labels[~phantom_anatomy.body_kji] == 0).all()
    lung = truth(phantom, phantom_anatomy, "lung_lower_lobe_left")
    assert (labels[ndimage.binary_erosion(lung, iterations=2)] == tissue("lung").label).mean() > 0.99
    fat = phantom_anatomy.geometry.ras_to_ijk([0, 60, 0])[0].round().astype(int)
    assert labels[fat[2], fat[1], fat[0]] == tissue("fat").label
    muscle = phantom_anatomy.geometry.ras_to_ijk([-34, -76, -11])[0].round().astype(int)
    assert labels[muscle[2], muscle[1], muscle[0]] == tissue("muscle").label


def distance_to(course: np.ndarray, points: np.ndarray) -> np.ndarray:
    fine = np.concatenate([np.linspace(a, b, 20) for a, b in itertools.pairwise(course)])
    return np.linalg.norm(points[:, None] - fine[None], axis=2).min(axis=1)


def test_intercostal_proposal_runs_below_the_rib(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    found = propose_nerve(phantom_anatomy, "intercostal", "left")
    middle = found.at(0.5 * found.arc_length_mm[-1])
    assert distance_to(phantom.intercostal_ras_mm, middle)[0] < 2 * found.sigma_mm
    assert not found.confirmed and "below the inner lower edge" in found.rule
    assert "not numbered" in found.name


def test_right_side_mirrors_left(phantom_anatomy: Anatomy) -> None:
    left, right = (propose_nerve(phantom_anatomy, "intercostal", side) for side in ("left", "right"))
    mirrored = right.points_ras_mm * [-1, 1, 1]
    assert distance_to(left.points_ras_mm, mirrored[len(mirrored) // 2][None])[0] < 3.0


def test_celiac_proposal_starts_at_the_trunk(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    found = propose_nerve(phantom_anatomy, "celiac_plexus", "left")
    assert distance_to(phantom.celiac_ras_mm, found.points_ras_mm).max() < found.sigma_mm
    assert "anterior branch" in found.rule


def test_targets_without_a_rule_say_so(phantom_anatomy: Anatomy) -> None:
    with pytest.raises(AnatomyError, match="give it as points"):
        propose_nerve(phantom_anatomy, "saphenous")
    with pytest.raises(KnowledgeError, match="Did you mean"):
        propose_nerve(phantom_anatomy, "celiac plexos")
    with pytest.raises(AnatomyError, match="left or right"):
        propose_nerve(phantom_anatomy, "intercostal", "up")
    with pytest.raises(AnatomyError, match="Rib 4"):
        propose_nerve(phantom_anatomy, "intercostal", "left", 4)


def test_points_outside_the_body_are_refused(phantom_anatomy: Anatomy) -> None:
    with pytest.raises(AnatomyError, match="outside the body"):
        nerve_from_points(phantom_anatomy, "pudendal", [[0, 0, 0], [400, 0, 0]])
    with pytest.raises(AnatomyError, match="two points"):
        nerve_from_points(phantom_anatomy, "pudendal", [[0, 0, 0]])


def test_import_replaces_what_it_knows_better(phantom: Phantom) -> None:
    labels = LabelMap(phantom.labels_kji, phantom.ct.geometry, phantom.names, "truth")
    anatomy = segment(phantom.ct, labels, grid_mm=2.0)
    assert {"kidney", "liver", "bowel"} <= {s.group for s in anatomy.structures}
    assert [s.name for s in anatomy.structures if s.group == "spinal_canal"] == ["spinal_cord"]
    kidney = anatomy.structure("kidney_left")
    assert kidney.origin == "imported" and not kidney.confirmed
    assert (anatomy.tissue.labels_kji[kidney.mask_kji] == tissue("kidney").label).mean() > 0.95


def test_labels_of_another_place_are_refused(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    matrix = phantom.ct.geometry.ijk_to_ras.copy()
    matrix[2, 3] += 5000
    away = VolumeGeometry(phantom.ct.geometry.shape_kji, matrix)
    with pytest.raises(AnatomyError, match="another image"):
        structures_from_labels(LabelMap(phantom.labels_kji, away, phantom.names, "x"), phantom_anatomy.geometry)


@pytest.mark.parametrize(
    ("offset_mm", "words"), [((6.0, 0.0, 0.0), "mm toward the left"), ((0.0, -4.0, 6.0), "toward the front")]
)
def test_labels_that_lie_beside_the_ct_are_refused(phantom: Phantom, offset_mm, words: str) -> None:
    matrix = phantom.ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] += offset_mm
    beside = VolumeGeometry(phantom.ct.geometry.shape_kji, matrix)
    with pytest.raises(AnatomyError, match="beside the CT") as error:
        segment(phantom.ct, LabelMap(phantom.labels_kji, beside, phantom.names, "x"), grid_mm=2.0)
    assert words in str(error.value)


def test_mirrored_labels_are_refused(phantom: Phantom) -> None:
    mirrored = np.ascontiguousarray(phantom.labels_kji[:, ::-1])
    with pytest.raises(AnatomyError, match="does not fit"):
        segment(phantom.ct, LabelMap(mirrored, phantom.ct.geometry, phantom.names, "x"), grid_mm=2.0)


def test_without_lungs_no_bone_is_a_rib(phantom_anatomy: Anatomy) -> None:
    kept = tuple(s for s in phantom_anatomy.structures if s.group != "lung")
    with pytest.raises(AnatomyError, match="No lung"):
        propose_nerve(replace(phantom_anatomy, structures=kept), "intercostal")


def test_named_vertebrae_stand_for_an_unknown_canal(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    labels = LabelMap(phantom.labels_kji, phantom.ct.geometry, phantom.names, "truth")
    whole = segment(phantom.ct, labels, grid_mm=2.0)
    kept = tuple(s for s in whole.structures if s.group != "spinal_canal")
    found = propose_nerve(replace(whole, structures=kept), "celiac_plexus")
    assert distance_to(phantom.celiac_ras_mm, found.points_ras_mm).max() < found.sigma_mm


def test_unknown_label_names_are_kept_and_said(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    names = {value: "frobnicator" if name == "colon" else name for value, name in phantom.names.items()}
    found, notes = structures_from_labels(
        LabelMap(phantom.labels_kji, phantom.ct.geometry, names, "x"), phantom_anatomy.geometry
    )
    assert next(s for s in found if s.name == "frobnicator").group == "other"
    assert any("frobnicator" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("rib_left_7", "bone"),
        ("Kidney left", "kidney"),
        ("vertebrae_T12", "bone"),
        ("lung_upper_lobe_left", "lung"),
        ("Left kidney", "kidney"),
        ("right rib 9", "bone"),
        ("L2 vertebra", "bone"),
        ("left ureter", "ureter"),
    ],
)
def test_names_have_groups(name: str, group: str) -> None:
    record = group_of(name)
    assert record is not None and record["group"] == group


@pytest.mark.parametrize(
    ("shown", "known"),
    [
        ("rib left 9", "rib_left_9"),
        ("Right rib 9", "rib_right_9"),
        ("l2 vertebra", "vertebrae_L2"),
        ("aorta", "aorta"),
        ("vertebrae L2", "vertebrae_L2"),
        ("left kidney", "kidney_left"),
        ("Left Rib 9", "rib_left_9"),
        ("Left Hip", "hip_left"),
        ("right hip bone", "hip_right"),
        ("Sacrum", "sacrum"),
        ("L5", "vertebrae_L5"),
        ("Vertebra T12", "vertebrae_T12"),
        ("Abdominal aorta", "aorta"),
        ("SpinalCord", "spinal_cord"),
        ("left", "left"),
        ("", ""),
    ],
)
def test_names_as_slicer_shows_them_become_those_of_the_rules(shown: str, known: str) -> None:
    assert structure_name(shown) == known


def test_two_labels_of_one_name_are_one_structure(phantom: Phantom, phantom_anatomy: Anatomy) -> None:
    names = {value: "kidney" if name.startswith("kidney") else name for value, name in phantom.names.items()}
    labels = LabelMap(phantom.labels_kji, phantom.ct.geometry, names, "x")
    found, notes = structures_from_labels(labels, phantom_anatomy.geometry)
    both = truth(phantom, phantom_anatomy, "kidney_left", "kidney_right")
    assert np.array_equal(next(s for s in found if s.name == "kidney").mask_kji, both)
    assert any("Two labels are called 'kidney'" in note for note in notes)


def test_an_unknown_name_takes_no_bone(phantom: Phantom) -> None:
    """What nobody knows is avoided, but it does not turn bone into something else."""
    names = {value: "frobnicator" if name == "vertebrae" else name for value, name in phantom.names.items()}
    anatomy = segment(phantom.ct, LabelMap(phantom.labels_kji, phantom.ct.geometry, names, "x"), grid_mm=2.0)
    vertebrae = truth(phantom, anatomy, "vertebrae")
    assert (anatomy.structure("bone").mask_kji & vertebrae).sum() > 0.85 * vertebrae.sum()
    assert anatomy.structure("frobnicator").role.value == "avoid"


def test_what_must_be_known_can_be_drawn_and_named() -> None:
    """A verdict that asks for a ureter must be answered by a segment of that name."""
    from cryoneuro.knowledge import nerves

    asked = {neighbor.structure for record in nerves() for neighbor in record.neighbors} - {"skin", "bone"}
    assert len(asked) > 25
    assert [g for g in sorted(asked) if (group_of(g) or {"group": None})["group"] != g] == []


def test_every_totalsegmentator_name_is_grouped() -> None:
    from cryoneuro.knowledge import load_records

    names = load_records("label_ids")[0]["names"].values()
    assert [n for n in names if group_of(n) is None] == []


def test_unknown_list_names_what_is_missing(phantom_anatomy: Anatomy) -> None:
    course = propose_nerve(phantom_anatomy, "celiac_plexus")
    anatomy = for_target(phantom_anatomy, course)
    assert set(anatomy.unknown) == {g for g in nerve("celiac_plexus").must_know if not phantom_anatomy.has_group(g)}
    assert "kidney" in anatomy.unknown and "aorta" not in anatomy.unknown
    assert "kidney" not in for_target(phantom_anatomy, course, ("kidney",)).unknown


def test_a_canal_found_elsewhere_is_unknown_here(phantom_anatomy: Anatomy) -> None:
    course = propose_nerve(phantom_anatomy, "intercostal")
    assert "spinal_canal" not in for_target(phantom_anatomy, course).unknown
    canal = phantom_anatomy.structure("spinal_canal")
    mask = canal.mask_kji.copy()
    mask[mask.shape[0] // 3 :] = False
    kept = tuple(replace(s, mask_kji=mask) if s is canal else s for s in phantom_anatomy.structures)
    assert "spinal_canal" in for_target(replace(phantom_anatomy, structures=kept), course).unknown


def test_no_body_is_a_sentence() -> None:
    air = CtVolume(np.full((40, 40, 40), -1000, np.int16), VolumeGeometry((40, 40, 40), np.diag([2.0, 2, 2, 1])))
    with pytest.raises(AnatomyError, match="No body"):
        segment(air, grid_mm=2.0)


def test_cancel_stops_the_segmentation(phantom: Phantom) -> None:
    with pytest.raises(CancelledError):
        segment(phantom.ct, grid_mm=2.0, cancelled=lambda: True)


def test_the_first_and_last_slice_are_no_skin(phantom: Phantom) -> None:
    """The phantom is cut within the trunk: its end slices hold the same tissues as their neighbors."""
    k = slice(20, 70)
    matrix = phantom.ct.geometry.ijk_to_ras.copy()
    matrix[:3, 3] = phantom.ct.geometry.ijk_to_ras_mm([[0, 0, 20]])[0]
    part = phantom.ct.array_kji[k].copy()
    anatomy = segment(CtVolume(part, VolumeGeometry(part.shape, matrix)), grid_mm=2.0)
    skin = (anatomy.tissue.labels_kji == tissue("skin").label).sum(axis=(1, 2))
    assert skin[[0, -1]].max() < 1.3 * np.median(skin)
