"""The case folder: back to the same hashes, whole after a crash, a sentence for every damage."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cryoneuro.imaging import write_volume
from cryoneuro.model import Case, CaseError, Plan, VolumeGeometry, content_hash
from cryoneuro.session import check_target, event, load_case, read_events, save, save_case
from cryoneuro.session.codec import from_json, to_json
from cryoneuro.session.place import old_name


@pytest.fixture
def saved(assessed_case: Case, tmp_path: Path) -> Path:
    save_case(assessed_case, tmp_path / "case", (event("test", "made"),))
    return tmp_path / "case"


def changed(case: Case, note: str) -> Case:
    assert case.anatomy is not None
    return replace(case, anatomy=replace(case.anatomy, notes=(note,)))


PARTS = ("ct", "anatomy", "plan", "thermal", "assessment")


def test_a_case_comes_back_to_the_same_hashes(assessed_case: Case, saved: Path) -> None:
    loaded, events = load_case(saved)
    for part in PARTS:
        assert content_hash(getattr(loaded, part)) == content_hash(getattr(assessed_case, part)), part
    assert [e.kind for e in events] == ["test", "saved"]
    assert dict(events[-1].hashes)["ct"] == content_hash(assessed_case.ct)


def test_the_files_are_where_the_house_says(saved: Path) -> None:
    for name in (
        "case.json", "ct.nrrd", "anatomy.seg.nrrd", "tissue.nrrd", "nerve_1.mrk.json", "plan.json", "probe_1.mrk.json",
        "thermal/coldest.nrrd", "thermal/temperature.seq.nrrd", "assessment.json", "events.jsonl",
    ):  # fmt: skip
        assert (saved / name).stat().st_size > 0, name


def test_every_image_is_read_by_others(assessed_case: Case, saved: Path) -> None:
    ct = sitk.ReadImage(str(saved / "ct.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(ct), assessed_case.ct.array_kji)
    assert np.allclose(ct.GetSpacing(), assessed_case.ct.geometry.spacing_mm)
    labels = sitk.ReadImage(str(saved / "anatomy.seg.nrrd"))
    assert labels.GetMetaData("Segment0_Name") == "body"


def test_saving_again_links_what_did_not_change(assessed_case: Case, saved: Path) -> None:
    before = (saved / "ct.nrrd").stat().st_ino
    save_case(replace(assessed_case, thermal=None, assessment=None), saved)
    assert (saved / "ct.nrrd").stat().st_ino == before
    assert not (saved / "thermal").exists()
    loaded, events = load_case(saved)
    assert loaded.thermal is None and len(events) == 3


def test_another_ct_does_not_slip_into_the_folder(assessed_case: Case, saved: Path) -> None:
    with pytest.raises(CaseError, match="another CT"):
        save_case(replace(assessed_case, ct=replace(assessed_case.ct, name="somebody else")), saved)


def test_old_pictures_go_foreign_files_stay(assessed_case: Case, saved: Path) -> None:
    (saved / "report").mkdir()
    (saved / "report" / "report.html").write_text("verdict of before")
    (saved / "my_notes.txt").write_text("mine")
    save_case(assessed_case, saved)
    assert (saved / "report" / "report.html").is_file(), "the same result keeps its report"
    save_case(replace(assessed_case, thermal=None, assessment=None), saved)
    assert not (saved / "report").exists()
    assert (saved / "my_notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["[]", "{", '"x"', '{"schema": "cryoneuro-case/1", "hashes": []}', '{"hashes": {"x": "y"}}']
)
def test_a_strange_case_json_is_a_sentence(assessed_case: Case, saved: Path, text: str) -> None:
    (saved / "case.json").write_text(text)
    with pytest.raises(CaseError):
        load_case(saved)


@pytest.mark.parametrize("name", ["/", "x" * 300])
def test_names_that_cannot_be_are_sentences(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaseError):
        check_target(Path(name) if name == "/" else tmp_path / name)


def test_a_crash_between_the_renames_loses_nothing(assessed_case: Case, saved: Path) -> None:
    saved.rename(old_name(saved))
    loaded, _ = load_case(saved)
    assert content_hash(loaded.plan) == content_hash(assessed_case.plan)
    save_case(loaded, saved)
    assert load_case(saved)[0].assessment is not None and not old_name(saved).exists()


def test_killed_while_writing_the_last_state_loads(saved: Path) -> None:
    """A real process, killed at several moments of saving."""
    code = (
        "import sys\nfrom dataclasses import replace\nfrom cryoneuro.session import load_case, save_case\n"
        "case, _ = load_case(sys.argv[1])\nprint('go', flush=True)\n"
        "n = 0\nwhile True:\n    n += 1\n"
        "    save_case(replace(case, anatomy=replace(case.anatomy, notes=(str(n),))), sys.argv[1])\n"
    )
    for wait in (0.05, 0.2, 0.4, 0.7):
        process = subprocess.Popen([sys.executable, "-c", code, str(saved)], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"go\n"
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        process.stdout.close()
        loaded, _ = load_case(saved)
        assert loaded.assessment is not None
    save_case(loaded, saved)
    assert [p.name for p in saved.parent.iterdir()] == ["case"], "what was left behind is removed"


def test_full_disk_changes_nothing(assessed_case: Case, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"n": 0}
    real = save.write_volume

    def full(*args: object) -> None:
        calls["n"] += 1
        real(*args)  # type: ignore[arg-type]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(save, "write_volume", full)
    with pytest.raises(CaseError, match="disk is full"):
        save_case(changed(assessed_case, "other"), saved)
    assert calls["n"] == 1
    loaded = load_case(saved)[0]
    assert loaded.anatomy is not None and "other" not in loaded.anatomy.notes
    assert [p.name for p in saved.parent.iterdir()] == ["case"]


def test_a_real_limit_on_file_size_is_a_sentence(assessed_case: Case, tmp_path: Path) -> None:
    """The kernel refuses to write: the error comes through the packer, not swallowed by a library."""
    code = (
        "import resource, signal, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "from cryoneuro.imaging import write_volume\nfrom cryoneuro.model import VolumeGeometry\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nresource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "a = np.random.default_rng(0).integers(0, 99, (40, 40, 40)).astype(np.int16)\n"
        "try:\n    write_volume(Path(sys.argv[1]), a, VolumeGeometry(a.shape, np.eye(4)))\n"
        "except OSError as e:\n    print('refused', e.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "x.nrrd")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("refused")


def test_a_folder_with_other_things_is_left_alone(assessed_case: Case, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(CaseError, match="no case folder"):
        save_case(assessed_case, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a read-only file system such as /proc")
def test_a_read_only_place_is_a_sentence() -> None:
    with pytest.raises(CaseError, match=r"Nothing was changed"):
        check_target("/proc/cryoneuro-case")


@pytest.mark.parametrize("name", ["case.json", "ct.nrrd", "anatomy.seg.nrrd", "tissue.nrrd", "plan.json",
                                  "thermal/coldest.nrrd", "thermal/temperature.seq.nrrd", "assessment.json"])  # fmt: skip
@pytest.mark.parametrize("harm", ["delete", "truncate", "garbage"])
def test_damage_is_a_sentence(saved: Path, name: str, harm: str) -> None:
    path = saved / name
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(b"\x00garbage" * 50)
    with pytest.raises(CaseError):
        load_case(saved)


def test_a_changed_number_is_noticed(saved: Path) -> None:
    data = json.loads((saved / "plan.json").read_text())
    data["probes"][0]["trajectory"]["tip_ras_mm"][0] += 5.0
    (saved / "plan.json").write_text(json.dumps(data))
    with pytest.raises(CaseError, match="plan"):
        load_case(saved)


def test_another_schema_is_refused(saved: Path) -> None:
    data = json.loads((saved / "case.json").read_text())
    (saved / "case.json").write_text(json.dumps(data | {"schema": "cryoneuro-case/99"}))
    with pytest.raises(CaseError, match="cryoneuro-case/99"):
        load_case(saved)


def test_a_cut_last_event_is_left_out(saved: Path) -> None:
    path = saved / "events.jsonl"
    path.write_text(path.read_text() + '{"time_utc": "20')
    assert len(read_events(path)) == 2
    path.write_text("broken\n" + path.read_text())
    with pytest.raises(CaseError, match="Line 1"):
        read_events(path)


def test_codec_round_trip(assessed_case: Case) -> None:
    text = json.dumps(to_json(assessed_case.plan))
    assert content_hash(from_json(Plan, json.loads(text))) == content_hash(assessed_case.plan)
    with pytest.raises(CaseError, match="lacks"):
        from_json(Plan, {})


def test_written_geometry_is_exact(tmp_path: Path) -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag([1 / 3, 0.7, np.pi])
    matrix[:3, 3] = (0.1, -1e-7, 1e5 / 3)
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_volume(tmp_path / "x.nrrd", array, VolumeGeometry(array.shape, matrix))
    head, body = (tmp_path / "x.nrrd").read_bytes().split(b"\n\n", 1)
    assert repr(1e5 / 3).encode() in head
    assert zlib.decompress(body, 16 + zlib.MAX_WBITS) == array.tobytes()


def test_no_patient_name_in_the_case(saved: Path) -> None:
    text = (saved / "case.json").read_text()
    assert "PatientName" not in text and json.loads(text)["pseudonym"].startswith("case-")
    shutil.rmtree(saved)


def test_curves_of_ribs_are_kept_and_written_as_markups(assessed_case: Case, tmp_path: Path) -> None:
    assert assessed_case.anatomy is not None
    ribs = [s for s in assessed_case.anatomy.structures if s.center_ras_mm is not None]
    if not ribs:
        edge = np.array([[0.0, 0.0, 0.0], [5.0, 1.0, -2.0]])
        first = assessed_case.anatomy.structures[0]
        rib = replace(first, name="rib_left_9", group="rib", center_ras_mm=edge + 5.0, lower_edge_ras_mm=edge)
        anatomy = replace(assessed_case.anatomy, structures=(*assessed_case.anatomy.structures, rib))
        assessed_case, ribs = replace(assessed_case, anatomy=anatomy), [rib]
    save_case(assessed_case, tmp_path / "case")
    loaded, _ = load_case(tmp_path / "case")
    assert loaded.anatomy is not None
    for rib in ribs:
        again = loaded.anatomy.structure(rib.name)
        assert np.array_equal(again.center_ras_mm, rib.center_ras_mm)
        assert np.array_equal(again.lower_edge_ras_mm, rib.lower_edge_ras_mm)
        markup = json.loads((tmp_path / "case" / f"{rib.name}.mrk.json").read_text(encoding="utf-8"))["markups"][0]
        assert markup["type"] == "Curve" and len(markup["controlPoints"]) == len(rib.lower_edge_ras_mm)
