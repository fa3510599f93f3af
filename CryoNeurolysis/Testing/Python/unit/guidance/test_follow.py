"""A whole procedure in the virtual room: overlay, probe, errors, ice, countdown; and everything that must not be overlaid."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from cryoneuro.guidance import Arrival, LivePicture, LiveSetup, LiveState, TrackedPose, follow, follow_pose
from cryoneuro.knowledge import constant
from cryoneuro.model import Acquisition, Advice, Case, CtVolume, GuidanceError, moved
from cryoneuro.thermal import simulate
from cryoneuro.training import RoomTruth, ScanSettings, room_truth, virtual_room_scan

SAID = Acquisition("CT", "HFS", study_uid="1.2", frame_of_reference_uid="1.3", patient_key="abc")
NOW = 1.79e9
SETTINGS = ScanSettings(slice_mm=2.0, slices=26, size=224, pixel_mm=1.2)


@pytest.fixture(scope="module")
def case(planned_case: Case) -> Case:
    """The planned phantom whose CT says whose it is."""
    return replace(planned_case, ct=replace(planned_case.ct, acquisition=SAID))


@pytest.fixture(scope="module")
def truth(case: Case) -> RoomTruth:
    assert case.plan is not None
    return room_truth(case.plan, off_mm=3.0, moved_mm=10.0, turned_deg=5.0, patient=2)


@pytest.fixture(scope="module")
def scans(case: Case, truth: RoomTruth) -> dict[float, CtVolume]:
    """Scans before the freeze and after one, two and three minutes of it."""
    assert case.anatomy is not None
    run = simulate(case.anatomy, truth.plan, snapshot_s=15.0)
    return {
        t: virtual_room_scan(case.ct, case.anatomy, truth, replace(SETTINGS, seed=int(t)), t, run=run)
        for t in (0.0, 60.0, 120.0, 180.0)
    }


@pytest.fixture(scope="module")
def begun(case: Case, scans: dict[float, CtVolume]) -> tuple[LiveState, LivePicture]:
    """After the scan before the freeze, followed once for all."""
    return follow(setup_of(case), LiveState(), arrival(scans[0.0]))


def setup_of(case: Case, **more: object) -> LiveSetup:
    assert case.anatomy is not None and case.plan is not None
    return LiveSetup(case.ct, case.anatomy, case.plan, **more)  # type: ignore[arg-type]


def arrival(ct: CtVolume, at_s: float = NOW) -> Arrival:
    return Arrival(f"series-{at_s}", "A scan has come.", at_s, ct)


@pytest.mark.slow
def test_a_whole_procedure(case: Case, truth: RoomTruth, scans: dict[float, CtVolume]) -> None:
    shown: list[LivePicture] = []
    state = LiveState()
    state, before = follow(setup_of(case), state, arrival(scans[0.0]), shown.append)
    assert before.good and before.alignment is not None and shown[0].run is None
    target = truth.plan.probes[0].trajectory.tip_ras_mm
    off = moved(before.alignment.plan_to_live, target) - moved(truth.plan_to_live, target)
    assert np.linalg.norm(off) < 1.0
    (error,) = before.targeting
    assert error.tip_mm == pytest.approx(3.0, abs=1.0) and before.frozen_s is None
    assert before.plan is not None and before.run is not None and before.assessment is not None
    assert np.linalg.norm(before.plan.probes[0].trajectory.tip_ras_mm - target) < 1.0
    frozen = setup_of(case, freeze_started_s=NOW + 60.0)
    pictures = []
    for t in (60.0, 120.0, 180.0):
        state, picture = follow(frozen, state, arrival(scans[t], NOW + 60.0 + t))
        assert picture.good and picture.frozen_s == pytest.approx(t) and picture.countdown is not None
        assert picture.calibration is not None and picture.calibration.scans == len(pictures) + 1
        pictures.append(picture)
    last = pictures[-1]
    assert last.ice is not None and last.ice.volume_ml[1] > 0.5 and last.comparison is not None
    assert last.comparison.mean_mm < 1.5
    # The room follows the plan's own values, so little is to be learned.
    assert last.calibration is not None and abs(last.calibration.strength - 1.0) < 0.12
    assert abs(last.calibration.offset_s) < 25.0
    # Coldest values of the countdown are those of the run.
    assert last.run is not None and last.countdown is not None
    assert last.countdown.nerve_c[0] <= last.countdown.nerve_c[1] <= last.countdown.nerve_c[2]
    assert len(state.observations) == 3 and state.last_good is last


@pytest.mark.slow
def test_what_must_not_be_overlaid_is_not(
    case: Case, scans: dict[float, CtVolume], begun: tuple[LiveState, LivePicture]
) -> None:
    state, good = begun
    for field in ("patient_key", "study_uid", "frame_of_reference_uid", "patient_position"):
        other = replace(scans[0.0], acquisition=replace(SAID, **{field: "other"}))
        after, picture = follow(setup_of(case), state, arrival(other))
        assert not picture.good and picture.questions and picture.alignment is None and picture.advice is Advice.UNKNOWN
        assert after.last_good is good
        accepted = frozenset(q.key for q in picture.questions)
        _, picture = follow(setup_of(case, accepted=accepted), state, arrival(other))
        assert picture.good
    # Another body in the same frame is refused by its looks.
    rng = np.random.default_rng(0)
    noise = rng.normal(40, 30, scans[0.0].array_kji.shape).astype(np.int16)
    after, picture = follow(setup_of(case), state, arrival(replace(scans[0.0], array_kji=noise)))
    assert not picture.good and after.last_good is good and "overlay stays" in picture.sentences[-1]
    with pytest.raises(GuidanceError):
        follow(setup_of(case), state, Arrival("x", "nothing", NOW))


@pytest.mark.slow
def test_a_series_that_comes_once_more_takes_its_own_place(
    case: Case, scans: dict[float, CtVolume], begun: tuple[LiveState, LivePicture]
) -> None:
    state, _ = begun
    frozen = setup_of(case, freeze_started_s=NOW + 1.0)
    part = scans[60.0]
    fewer = replace(part, array_kji=part.array_kji[:18], geometry=replace(part.geometry, shape_kji=(18, 224, 224)))
    first = replace(arrival(fewer, NOW + 61.0), key="same")
    state, picture = follow(frozen, state, first)
    assert picture.good and len(state.observations) == 1
    state, picture = follow(frozen, state, replace(arrival(part, NOW + 62.0), key="same"))
    assert picture.good and len(state.observations) == 1 and picture.number == 3
    assert any("once more" in text for text in picture.sentences)
    # A scan of before the freeze that comes late changes nothing of what the ice has taught.
    late = replace(scans[0.0], acquisition=replace(SAID, acquired="20260101 000000"))
    after, picture = follow(replace(frozen, freeze_started_s=NOW + 500.0), state, arrival(late, NOW + 63.0))
    assert picture.frozen_s is None and len(after.observations) == 1 and after.baseline is state.baseline
    # One that was refused teaches nothing at all, its clock least.
    evil = replace(part, acquisition=replace(SAID, patient_key="evil", acquired="20360101 000000"))
    after, picture = follow(frozen, state, arrival(evil, NOW + 64.0))
    assert not picture.good and after.clock == state.clock and after.observations == state.observations


@pytest.mark.slow
def test_a_probe_that_is_not_there_is_said(case: Case, truth: RoomTruth) -> None:
    assert case.anatomy is not None
    bare = virtual_room_scan(case.ct, case.anatomy, truth, SETTINGS, probes=False)
    _, picture = follow(setup_of(case), LiveState(), arrival(bare))
    assert picture.good and not picture.found and picture.run is None
    assert any("No probe is seen" in text for text in picture.sentences)


@pytest.mark.slow
def test_a_tracked_pose_is_held_against_the_plan(
    case: Case, truth: RoomTruth, begun: tuple[LiveState, LivePicture]
) -> None:
    pose = np.eye(4)
    error, said = follow_pose(setup_of(case), LiveState(), TrackedPose("Robot", pose))
    assert error is None and "no live scan" in said
    state, _ = begun
    path = truth.plan.probes[0].trajectory
    tip = moved(truth.plan_to_live, path.tip_ras_mm)
    z = -(truth.plan_to_live[:3, :3] @ path.direction_ras)
    x = np.cross(z, [1.0, 0, 0])
    x /= np.linalg.norm(x)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = tip
    error, said = follow_pose(setup_of(case), state, TrackedPose("Robot", pose))
    assert error is not None and error.tip_mm == pytest.approx(3.0, abs=0.6) and said.startswith("Robot: ")


@pytest.mark.slow
def test_nothing_grows_with_the_number_of_scans(
    case: Case,
    scans: dict[float, CtVolume],
    begun: tuple[LiveState, LivePicture],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = sys.modules["cryoneuro.guidance.follow"]
    monkeypatch.setattr(module, "constant", lambda name: 2.0 if name == "live_frames_kept" else constant(name))
    state, _ = begun
    frozen = setup_of(case, freeze_started_s=NOW + 1.0)
    for n in range(4):
        state, picture = follow(frozen, state, arrival(scans[60.0], NOW + 61.0 + n))
    assert picture.good and len(state.observations) == 2
    assert state.replayed is not None and len(state.replayed._kept) <= 10
