"""Structures from clicks and a person's yes, on a case folder, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.anatomy import for_target
from cryoneuro.cli import main
from cryoneuro.imaging import Phantom, label_on_grid
from cryoneuro.knowledge import tissue
from cryoneuro.model import AnatomyError, Case, PlanningError, Status, StructureRole, Verdict
from cryoneuro.pipeline import Request, confirm_step, find_nerve, grow_step, new_case
from cryoneuro.session import event, load_case, save_case

INSIDE = [[-62.0, -28.0, -50.0], [-62.0, -28.0, -30.0], [-55.0, -28.0, -60.0]]
OUTSIDE = [
    [-62.0, 10.0, -50.0],
    [-20.0, -28.0, -50.0],
    [-62.0, -28.0, 5.0],
    [-92.0, -28.0, -50.0],
    [-62.0, -60.0, -50.0],
]


def test_a_kidney_from_clicks_becomes_tissue_and_throws_the_plan_away(planned_case: Case, phantom: Phantom) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    case = grow_step(planned_case, "kidney_left", "kidney", INSIDE, OUTSIDE)
    assert case.plan is None and case.anatomy is not None
    mask = case.anatomy.structure("kidney_left").mask_kji
    kidney = next(v for v, n in phantom.names.items() if n == "kidney_left")
    wanted = label_on_grid(phantom.labels_kji, phantom.ct.geometry, case.anatomy.geometry) == kidney
    assert 2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()) > 0.8
    assert (case.anatomy.tissue.labels_kji[mask] == tissue("kidney").label).mean() > 0.99
    assert not case.anatomy.structure("kidney_left").confirmed
    before = planned_case.anatomy.tissue.labels_kji
    far = ~mask
    assert (case.anatomy.tissue.labels_kji[far] == before[far]).mean() > 0.999


def test_a_proposed_course_is_never_silently_used(assessed_case: Case) -> None:
    assert assessed_case.plan is not None and assessed_case.assessment is not None
    assert not assessed_case.plan.nerve.confirmed
    finding = assessed_case.assessment.finding("nerve.confirmed")
    assert finding.status is Status.WARNING and "nobody has confirmed" in finding.sentence
    assert assessed_case.assessment.verdict is not Verdict.TREATED_AND_SAFE
    said = confirm_step(assessed_case, course=True)
    assert said.plan is not None and said.plan.nerve.confirmed and said.assessment is not None
    assert all(f.id != "nerve.confirmed" for f in said.assessment.findings)
    assert said.anatomy is not None and said.anatomy.nerves[0].confirmed


def test_a_yes_makes_known_what_was_unknown(planned_case: Case) -> None:
    """Vessels that contrast filled in part count once a person has confirmed them; plan and anatomy say so, and not before."""
    assert planned_case.anatomy is not None and planned_case.plan is not None
    body = planned_case.anatomy.structure("body")
    vessels = replace(
        body, name="femoral_vessels_left", group="femoral_vessels", role=StructureRole.AVOID, origin="computed"
    )
    nerve = replace(planned_case.plan.nerve, target_id="femoral")
    anatomy = for_target(replace(planned_case.anatomy, structures=(*planned_case.anatomy.structures, vessels)), nerve)
    assert "femoral_vessels" in anatomy.unknown
    case = replace(planned_case, anatomy=anatomy, plan=replace(planned_case.plan, nerve=nerve, unknown=anatomy.unknown))
    still = confirm_step(case, ("bone",))
    assert still.plan is not None and "femoral_vessels" in still.plan.unknown
    said = confirm_step(case, ("femoral_vessels_left",))
    assert said.plan is not None and said.anatomy is not None
    assert "femoral_vessels" not in said.plan.unknown and said.plan.unknown == said.anatomy.unknown


def test_a_yes_in_advance_is_kept(phantom_anatomy) -> None:
    assert not find_nerve(phantom_anatomy, Request("intercostal")).confirmed
    assert find_nerve(phantom_anatomy, Request("intercostal", accepted=True)).confirmed


def test_a_course_is_corrected_at_a_place(phantom_anatomy) -> None:
    proposed = find_nerve(phantom_anatomy, Request("intercostal"))
    middle = proposed.at(0.5 * float(proposed.arc_length_mm[-1]))[0]
    place = middle - np.array([0.0, 0.0, 4.0])
    edited = find_nerve(phantom_anatomy, Request("intercostal", through_ras_mm=(tuple(place),)))
    gaps = np.linalg.norm(edited.points_ras_mm - place, axis=1)
    assert gaps.min() < 1e-6, "it runs through the place"
    assert np.allclose(edited.points_ras_mm[[0, -1]], proposed.points_ras_mm[[0, -1]], atol=1.0), "its ends stay"
    assert edited.confirmed and edited.rule.endswith("corrected by a person")
    steps = np.linalg.norm(np.diff(edited.points_ras_mm, axis=0), axis=1)
    assert steps.max() < 3.5, "a bend, not a spike"


@pytest.mark.parametrize(
    ("off", "sentence"), [((0.0, 0.0, -45.0), "from the course"), ((0.0, -400.0, 0.0), "outside the body")]
)
def test_a_place_far_from_the_course_is_refused(phantom_anatomy, off: tuple[float, ...], sentence: str) -> None:
    middle = find_nerve(phantom_anatomy, Request("intercostal")).at(10.0)[0]
    with pytest.raises(AnatomyError, match=sentence):
        find_nerve(phantom_anatomy, Request("intercostal", through_ras_mm=(tuple(middle + np.array(off)),)))


def test_a_yes_to_nothing_is_refused(planned_case: Case, phantom: Phantom) -> None:
    with pytest.raises(AnatomyError, match="No structure is called"):
        confirm_step(planned_case, ("liver",))
    with pytest.raises(PlanningError, match="no plan"):
        confirm_step(replace(planned_case, plan=None), course=True)
    with pytest.raises(PlanningError, match="no anatomy"):
        confirm_step(new_case(phantom.ct), course=True)
    with pytest.raises(PlanningError, match="no anatomy"):
        grow_step(new_case(phantom.ct), "a", "kidney", INSIDE, OUTSIDE)


def points(values: list[list[float]]) -> list[str]:
    return [",".join(f"{v:g}" for v in point) for point in values]


def test_through_the_command_line(planned_case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "case"
    save_case(planned_case, folder, (event("run", "test"),))
    assert main(["confirm", str(folder), "bone", "--course", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["confirmed"] == ["bone", "the nerve's course"]
    case, _ = load_case(folder)
    assert case.anatomy is not None and case.plan is not None
    assert case.anatomy.structure("bone").confirmed and case.plan.nerve.confirmed
    grow = ["grow", str(folder), "--name", "kidney_left", "--group", "kidney", "--json"]
    assert main([*grow, "--inside", *points(INSIDE), "--outside", *points(OUTSIDE)]) == 0
    assert 60 < json.loads(capsys.readouterr().out)["volume_ml"] < 110
    case, _ = load_case(folder)
    assert case.plan is None and case.anatomy is not None
    assert case.anatomy.structure("kidney_left").origin == "drawn"
    assert np.array_equal(case.ct.array_kji, planned_case.ct.array_kji)
    assert main([*grow[:-1], "--inside", "0,0,900", "--outside", "0,0,0"]) == 5
    assert "outside the image" in capsys.readouterr().err


def test_vertebrae_are_numbered_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(
            ["segment", "phantom", "--output", str(tmp_path / "a"), "--grid-mm", "2", "--vertebra", "L1@-28", "--json"]
        )
        == 0
    )
    assert "vertebrae_L1" in json.loads(capsys.readouterr().out)["volumes_ml"]
    with pytest.raises(SystemExit):
        main(["segment", "phantom", "--output", str(tmp_path / "b"), "--vertebra", "L1"])
    assert "names no vertebra" in capsys.readouterr().err
