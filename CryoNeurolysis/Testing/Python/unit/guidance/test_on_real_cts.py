"""Alignment, probes and recalibration on real CTs with rendered probes and ice, against where everything was put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.assessment import Variation, varied_probes, varied_records
from cryoneuro.guidance import (
    Replayed,
    align,
    compare_ice,
    fall_block,
    find_probes,
    observation,
    recalibrate,
    seen_ice,
    temperature_at,
)
from cryoneuro.imaging import on_volume
from cryoneuro.knowledge import probe, protocol
from cryoneuro.model import Anatomy, Case, CtVolume, Nerve, Plan, PlannedProbe, ThermalRun, Trajectory, moved
from cryoneuro.pipeline import new_case
from cryoneuro.thermal import simulate_box, tissue_box
from cryoneuro.training import ScanSettings, room_truth, virtual_room_scan
from real_cts import RealCts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pelvis(real_cts: RealCts) -> Case:
    """A real half pelvis, segmented."""
    name = "hemipelvis-native-sts007"
    return replace(new_case(real_cts.ct(name)), anatomy=real_cts.anatomy(name))


def plan_at(anatomy: Anatomy, direction: tuple[float, float, float]) -> Plan:
    """A probe in the muscle behind the middle of the body, from the back."""
    from cryoneuro.knowledge import limits_for
    from cryoneuro.knowledge import nerve as nerve_record

    middle = anatomy.geometry.ijk_to_ras_mm(np.argwhere(anatomy.body_kji).mean(axis=0)[::-1][None])[0]
    way = np.array(direction) / np.linalg.norm(direction)
    tip = middle + np.array([0.0, -35.0, 0.0])
    nerve = Nerve("Sciatic nerve", "sciatic", tip + np.array([[-8.0, 5, 0], [8.0, 5, 0]]), 2.0, 2.0, "", True)
    path = Trajectory(tip - 70.0 * way, tip)
    return Plan(
        nerve,
        (PlannedProbe(probe("argon_17g_long"), path),),
        protocol(nerve_record("sciatic").default_protocol),
        limits_for(nerve_record("sciatic")),
        (),
        (),
        (),
    )


def scanned(case: Case, truth: object, slice_mm: float, seed: int, **more: object) -> CtVolume:
    assert case.anatomy is not None
    settings = ScanSettings(
        slice_mm=slice_mm, slices=int(np.clip(90 / slice_mm, 12, 60)), size=320, pixel_mm=0.85, seed=seed
    )
    return virtual_room_scan(case.ct, case.anatomy, truth, settings, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slice_mm", "direction"), [(1.0, (0.2, 1.0, 0.3)), (2.5, (-0.3, 1.0, 0.2)), (5.0, (0.2, 1.0, 0.5))]
)
def test_alignment_and_probe(pelvis: Case, slice_mm: float, direction: tuple[float, float, float]) -> None:
    assert pelvis.anatomy is not None
    plan = plan_at(pelvis.anatomy, direction)
    truth = room_truth(plan, off_mm=5.0, moved_mm=10.0, turned_deg=5.0, patient=int(slice_mm))
    live = scanned(pelvis, truth, slice_mm, 3)
    path = truth.plan.probes[0].trajectory
    found = align(pelvis.ct, live, path.tip_ras_mm, pelvis.anatomy)
    assert found.trusted, found.sentence
    off = moved(found.plan_to_live, path.tip_ras_mm) - moved(truth.plan_to_live, path.tip_ras_mm)
    assert np.linalg.norm(off) < 1.0
    (lies,) = [f for f in find_probes(pelvis.ct, live, found, plan.probes, pelvis.anatomy) if f.planned == 0]
    tip = moved(truth.plan_to_live, path.tip_ras_mm)
    way = truth.plan_to_live[:3, :3] @ path.direction_ras
    assert np.linalg.norm(lies.tip_ras_mm - tip) < 1.0
    assert np.rad2deg(np.arccos(min(1.0, float(lies.direction_ras @ way)))) < 1.0


def test_no_probe_is_found_where_none_is(pelvis: Case) -> None:
    assert pelvis.anatomy is not None
    plan = plan_at(pelvis.anatomy, (0.2, 1.0, 0.4))
    live = scanned(pelvis, room_truth(plan), 3.0, 4, probes=False)
    found = align(pelvis.ct, live, plan.probes[0].trajectory.tip_ras_mm, pelvis.anatomy)
    assert find_probes(pelvis.ct, live, found, plan.probes, pelvis.anatomy) == ()


def test_another_patient_is_refused(pelvis: Case, real_cts: RealCts) -> None:
    assert pelvis.anatomy is not None
    other = real_cts.ct("thorabd-arterial-lidc")
    plan = plan_at(pelvis.anatomy, (0.2, 1.0, 0.4))
    part = other.array_kji[10:30]
    geometry = replace(other.geometry, shape_kji=part.shape)
    live = CtVolume(part.copy(), geometry, other.acquisition)
    for same_frame in (True, False):
        found = align(pelvis.ct, live, plan.probes[0].trajectory.tip_ras_mm, pelvis.anatomy, same_frame=same_frame)
        assert not found.trusted and found.sentence.endswith(".")


def surface_gap_mm(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of two surfaces on a 1 mm grid, both ways; independent of the program's own."""
    from scipy import ndimage
    from scipy.spatial import cKDTree

    edges = [np.argwhere(m & ~ndimage.binary_erosion(m)) for m in (a, b)]
    one, other = cKDTree(edges[0]), cKDTree(edges[1])
    return float(np.concatenate([one.query(edges[1])[0], other.query(edges[0])[0]]).mean())


def test_two_scans_with_ice_bring_the_third_prediction_within_a_millimeter(pelvis: Case) -> None:
    """The truth has a weaker probe, ice that conducts less, more perfusion; drawn with a smaller fall of CT number."""
    assert pelvis.anatomy is not None
    plan = plan_at(pelvis.anatomy, (0.2, 1.0, 0.5))
    truth = room_truth(plan, off_mm=0.0, patient=5)
    other = Variation(np.array([-1.0, -1.5, 1.0, 1.0]), np.zeros((1, 3)), np.zeros(2), np.zeros(3))
    box = tissue_box(pelvis.anatomy, plan, 1.0)
    real = simulate_box(
        box, varied_probes(plan, other), plan.protocol, 15.0, records=varied_records(box.records, other)
    )
    before = scanned(pelvis, truth, 3.0, 1)
    tip = plan.probes[0].trajectory.tip_ras_mm
    first = align(pelvis.ct, before, tip, pelvis.anatomy)
    replayed = Replayed(pelvis.anatomy, plan)
    seen = []
    ice = None
    for n, at_s in enumerate((150.0, 270.0)):
        live = scanned(pelvis, truth, 3.0, 10 + n, frozen_s=at_s, run=real)
        found = align(pelvis.ct, live, tip, pelvis.anatomy, guess=first.plan_to_live)
        block = fall_block(live, found, plan.probes, before, first.plan_to_live)
        assert block is not None
        ice = seen_ice(block, plan.probes)
        item = observation(block, plan.probes, at_s)
        assert item is not None
        seen.append(item)
    assert ice is not None

    def frozen(run: ThermalRun, at_s: float) -> np.ndarray:
        return on_volume(temperature_at(run, at_s), run.geometry, ice.geometry, 37.0) < 0.0

    # What is seen is the truth's ice, well within two millimeters, though it falls less than the data say.
    assert surface_gap_mm(ice.seen_kji, frozen(real, 270.0)) < 1.5
    compared = compare_ice(ice, real, 270.0)
    assert compared is not None and compared.mean_mm < 1.5 and compared.dice > 0.75
    found_values = recalibrate(replayed, seen)
    third_s = 450.0
    nominal = surface_gap_mm(frozen(replayed.run(0.0, 0.0), third_s), frozen(real, third_s))
    calibrated_run = replayed.run(float(found_values.values[0]), float(found_values.values[1]))
    calibrated = surface_gap_mm(frozen(calibrated_run, third_s + found_values.offset_s), frozen(real, third_s))
    assert nominal > 1.5
    assert calibrated < 1.0
    assert found_values.strength < 0.97 and "probe strength" in found_values.sentence


def test_breathing_is_told_from_a_movement_of_the_patient(pelvis: Case) -> None:
    """Soft tissue is moved by 6 mm toward the head against bone; the alignment stays with bone and says what moved."""
    from scipy import ndimage

    assert pelvis.anatomy is not None
    plan = plan_at(pelvis.anatomy, (0.2, 1.0, 0.4))
    truth = room_truth(plan, moved_mm=6.0, turned_deg=2.0)
    ct = pelvis.ct
    slices = round(6.0 / ct.geometry.spacing_mm[2])
    sign = 1 if ct.geometry.ijk_to_ras[2, 2] > 0 else -1
    bone = ndimage.binary_dilation(ct.array_kji > 200, iterations=2)
    breathed = np.where(bone, ct.array_kji, np.roll(ct.array_kji, sign * slices, axis=0)).astype(np.int16)
    settings = ScanSettings(slice_mm=2.0, slices=40, size=320, pixel_mm=0.85)
    tip = plan.probes[0].trajectory.tip_ras_mm
    still = virtual_room_scan(ct, pelvis.anatomy, truth, settings, probes=False)
    moving = virtual_room_scan(replace(ct, array_kji=breathed), pelvis.anatomy, truth, settings, probes=False)
    calm, found = (align(ct, live, tip, pelvis.anatomy) for live in (still, moving))
    assert found.trusted
    off = moved(found.plan_to_live, tip) - moved(truth.plan_to_live, tip)
    assert np.linalg.norm(off) < 1.5
    assert calm.breathing_ras_mm is not None and np.linalg.norm(calm.breathing_ras_mm) < 1.0
    assert found.breathing_ras_mm is not None and found.breathing_ras_mm[2] == pytest.approx(6.0, abs=2.0)
    assert "toward the head" in found.sentence and "Soft tissue" not in calm.sentence


def test_a_nail_beside_the_target_is_no_probe_and_hides_none(real_cts: RealCts) -> None:
    ct = real_cts.ct("abdpelvis-native-ts")
    metal = np.argwhere(ct.array_kji > 2500)
    if len(metal) < 200:
        pytest.skip("no nail in this CT")
    anatomy = real_cts.anatomy("abdpelvis-native-ts")
    middle = ct.geometry.ijk_to_ras_mm(np.median(metal, axis=0)[::-1][None])[0]
    nail = ct.geometry.ijk_to_ras_mm(metal[:, ::-1])
    # 22 mm behind the nail, or where that is no body, in front of it.
    for way in (-22.0, 22.0):
        tip = middle + np.array([0.0, way, 0.0])
        direction = np.array([0.25, -np.sign(way), 0.3])
        direction = direction / np.linalg.norm(direction)
        path = tip - np.arange(0, 40.0, 1.0)[:, None] * direction
        if np.linalg.norm(nail[:, None] - path[None], axis=2).min() > 6.0:
            break
    plan = plan_at(anatomy, (0.2, 1.0, 0.4))
    planned = replace(plan.probes[0], trajectory=Trajectory(tip - 60.0 * direction, tip))
    plan = replace(plan, probes=(planned,))
    truth = room_truth(plan, off_mm=3.0, moved_mm=6.0, turned_deg=3.0)
    settings = ScanSettings(slice_mm=2.5, slices=24, size=320, pixel_mm=0.85)
    live = virtual_room_scan(ct, anatomy, truth, settings)
    found = align(ct, live, tip, anatomy)
    assert found.trusted, found.sentence
    there = find_probes(ct, live, found, plan.probes, anatomy)
    lies = [f for f in there if f.planned == 0]
    assert len(there) == 1 and len(lies) == 1
    real = moved(truth.plan_to_live, truth.plan.probes[0].trajectory.tip_ras_mm)
    assert np.linalg.norm(lies[0].tip_ras_mm - real) < 1.0
    bare = virtual_room_scan(ct, anatomy, truth, settings, probes=False)
    assert find_probes(ct, bare, align(ct, bare, tip, anatomy), plan.probes, anatomy) == ()
