"""The command line as a person and as a script would use it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryoneuro import cli, pipeline
from cryoneuro.model import VolumeGeometry
from kept_cases import Remembered

STAGES = {name: Remembered(getattr(pipeline, name)) for name in ("plan_paths", "_planned_by_ice", "sampled_doubt")}


@pytest.fixture(autouse=True)
def remembered(remembered_anatomy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that come to the same CT, anatomy or plan do not find, plan and sample it anew."""
    for name, stage in STAGES.items():
        monkeypatch.setattr(pipeline, name, stage)


def run(*arguments: str) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.mark.parametrize("command", ["demo", "info", "segment", "plan", "simulate", "run", "report", "list"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(command, "--help")
    assert stop.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_steps_one_by_one_and_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = tmp_path / "case"
    assert run("segment", "phantom", "--output", case, "--grid-mm", "2", "--json") == 0
    assert "bone" in json.loads(capsys.readouterr().out)["volumes_ml"]
    assert run("plan", case, "--target", "intercostal", "--probes", "1", "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert run("simulate", case, "--thermal-grid-mm", "2", "--json") == 0
    numbers = json.loads(capsys.readouterr().out)
    assert run("report", case, "--no-pictures", "--json") == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == numbers["verdict"]
    assert (case / "report" / "report.html").is_file()
    whole = tmp_path / "whole"
    arguments = ["phantom", "--target", "intercostal", "--probes", "1", "--grid-mm", "2", "--thermal-grid-mm", "2"]
    assert run("run", *arguments, "--output", whole, "--no-pictures", "--json") == 0
    other = json.loads(capsys.readouterr().out)["cases"][0]
    assert other["probes"][0]["tip_ras_mm"] == plan["paths"][0]["tip_ras_mm"]
    for key in ("verdict", "clearances", "findings", "along_nerve"):
        assert other[key] == numbers[key]
    assert run("report", whole, "--no-pictures", "--check") == cli.EXIT_CHECK_FAILED


def test_summary_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(
        "run", "phantom", "--target", "intercostal", "--grid-mm", "2", "--thermal-grid-mm", "3", "--probes", "1",
        "--output", tmp_path / "c", "--no-pictures",
    )  # fmt: skip
    out = capsys.readouterr()
    assert code == 0
    for words in ("Path 1", "Clearances worst first", "Along the nerve", "Coldest", "VERDICT", "Seconds", "Results"):
        assert words in out.out
    assert "segment ..." in out.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["info", "nowhere.nrrd"], 3, "no file or folder"),
        (["run", "phantom", "--target", "celliac", "--output", "{tmp}"], 4, "celiac_plexus"),
        (
            ["run", "phantom", "--target", "intercostal", "--probe", "icespher", "--output", "{tmp}"],
            4,
            "argon_17g_long",
        ),
        (["run", "phantom", "--target", "intercostal", "--not-in-field", "kidny", "--output", "{tmp}"], 4, "kidny"),
        (["simulate", "{tmp}"], 9, "no case folder"),
        (["run", "phantom", "--target", "pudendal", "--grid-mm", "3", "--output", "{tmp}"], 5, "as points"),
        (
            [
                "run",
                "phantom",
                "--grid-mm",
                "3",
                "--target",
                "pudendal",
                "--points",
                "0,0,0",
                "900,0,0",
                "--output",
                "{tmp}",
            ],
            5,
            "outside the body",
        ),
        (["run", "phantom", "--grid-mm", "9", "--target", "intercostal", "--output", "{tmp}"], 3, "0.5 to 5"),
        (["run", "phantom", "--target", "intercostal", "--output", "/proc/x"], 9, "Nothing was changed"),
        (["segment", "phantom", "--labels", "nowhere.nrrd", "--output", "{tmp}"], 3, "no label map"),
    ],
)
def test_errors_are_one_sentence_and_a_code(tmp_path, capsys, arguments, code, words) -> None:
    place = tmp_path / "out"
    assert run(*[a.replace("{tmp}", str(place)) for a in arguments]) == code
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error
    assert not place.exists()
    assert list(tmp_path.iterdir()) == []


def test_points_on_the_left_are_no_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "run",
        "phantom",
        "--grid-mm",
        "3",
        "--thermal-grid-mm",
        "3",
        "--target",
        "intercostal",
        "--samples",
        "8",
        "--no-pictures",
    ]
    course = ["--points", "-44,-72,39", "-54,-67,38", "-64,-61,38"]
    assert run(*arguments, *course, "--probes", "1", "--output", tmp_path / "c", "--json") == 0
    numbers = json.loads(capsys.readouterr().out)["cases"][0]
    assert numbers["nerve"]["points_ras_mm"][0] == [-44, -72, 39]
    own = ["--entry", "-75,-90,36", "--tip", "-44,-67,37"]
    assert run("plan", tmp_path / "c", "--target", "intercostal", *course, *own, "--json") == 0
    assert json.loads(capsys.readouterr().out)["paths"][0]["entry_ras_mm"] == [-75, -90, 36]


def test_json_errors_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", "nowhere", "--json") == 3
    assert json.loads(capsys.readouterr().out)["exit_code"] == 3


def test_wrong_usage_is_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["run"], ["plan", "x", "--target", "y", "--points", "1,2"], ["nonsense"]):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 2
    assert "R,A,S" in capsys.readouterr().err


def test_simulate_before_plan_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = tmp_path / "case"
    assert run("segment", "phantom", "--grid-mm", "3", "--output", case) == 0
    assert run("simulate", case) == 6
    assert "cryoneuro plan" in capsys.readouterr().err


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "nerves", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 39
    assert run("list", "probes") == 0 and run("list", "protocols") == 0


def test_info_of_an_oblique_ct(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    import SimpleITK as sitk
    from cryoneuro.imaging import to_sitk
    from scipy.spatial.transform import Rotation

    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 20, degrees=True).as_matrix() * 2
    array = np.full((10, 10, 10), -1000, np.int16)
    array[3:7, 3:7, 3:7] = 40
    sitk.WriteImage(to_sitk(array, VolumeGeometry(array.shape, matrix)), str(tmp_path / "o.nrrd"))
    assert run("info", tmp_path / "o.nrrd", "--json") == 0
    assert json.loads(capsys.readouterr().out)["axes"] == "oblique"


def test_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cryoneuro", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cryoneuro ")


def test_demo_of_two_sources_do_not_meet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import SimpleITK as sitk
    from cryoneuro.imaging import make_phantom, to_sitk

    ct = make_phantom(4.0, seed=5).ct
    sitk.WriteImage(to_sitk(ct.array_kji, ct.geometry), str(tmp_path / "other.nrrd"))
    common = ["--target", "intercostal", "--grid-mm", "3", "--thermal-grid-mm", "3", "--probes", "1", "--no-pictures"]
    common += ["--samples", "8"]
    out = tmp_path / "out"
    assert run("demo", "--phantom", *common, "--output", out, "--json") == 0
    assert run("demo", "--ct", tmp_path / "other.nrrd", *common, "--output", out, "--json") == 0
    assert run("demo", "--phantom", *common, "--output", out, "--json") == 0
    assert sorted(p.name.split("-")[0] for p in out.iterdir()) == ["other", "phantom"]
