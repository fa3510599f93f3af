"""Following a procedure on the command line: virtual scans in a watched folder and over DICOM, said, recorded, drawn."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryoneuro import cli
from cryoneuro.guidance import Arrival, TrackedPose
from cryoneuro.live import LiveOptions, LiveSession
from cryoneuro.model import Case, GuidanceError
from cryoneuro.session import read_events, save_case

SAME = ("patient", "study", "frame", "position")


def run(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, planned_case: Case) -> Path:
    """A case folder of the planned phantom, and a virtual scan beside it."""
    place = tmp_path_factory.mktemp("live")
    save_case(planned_case, place / "case")
    assert run("virtual-scan", place / "case", "--output", place / "scan", "--slice-mm", "2.5", "--slices", "24") == 0
    return place


@pytest.fixture
def case(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder / "case", tmp_path / "case")
    return tmp_path / "case"


@pytest.mark.slow
def test_a_watched_folder_from_the_first_scan_to_the_record(
    folder: Path, case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    code = run(
        "live", case, "--watch", folder / "scan", "--old", "--count", "1", "--no-pictures", "--json", "--same", *SAME
    )
    out = capsys.readouterr().out
    assert code == 0
    lines = [json.loads(line) for line in out.strip().splitlines()]
    numbers = next(line for line in lines if "scan" in line)
    assert numbers["good"] and numbers["alignment"]["sigma_mm"] < 1.5 and numbers["probes"][0]["planned"] == 0
    assert numbers["targeting"][0]["tip_mm"] == pytest.approx(3.0, abs=1.2) and numbers["targeting"][0]["correction"]
    assert "seconds" in numbers and "not a medical device" in numbers["note"]
    assert json.loads((case / "live" / "latest.json").read_text())["series_uid"] == numbers["series_uid"]
    kinds = [e.kind for e in read_events(case / "events.jsonl")]
    assert "identity" in kinds and "live scan" in kinds
    # What was answered is kept for the same pair; numbers go on.
    code = run("live", case, "--watch", folder / "scan", "--old", "--count", "1", "--no-pictures")
    assert code == 0 and "--- Scan 2" in capsys.readouterr().out and (case / "live" / "0002.json").is_file()
    # Without a yes nothing is overlaid, and it is asked.
    (case / "live" / "answers.json").unlink()
    code = run("live", case, "--watch", folder / "scan", "--old", "--count", "1", "--no-pictures")
    out = capsys.readouterr().out
    assert code == 0 and "Nothing is overlaid" in out and "Is it the same in both?" in out


@pytest.mark.slow
def test_pushed_by_a_scanner_another_patient_is_asked_about(folder: Path, case: Path) -> None:
    sender = shutil.which("dcmsend")
    if sender is None:
        pytest.skip("DCMTK is not installed (apt-get install dcmtk)")
    from cryoneuro.guidance import DicomReceiver, ReceiverSettings

    told: list[str] = []
    session = LiveSession(case, LiveOptions(same=SAME, pictures=False), told.append)
    receiver = DicomReceiver(case.parent / "received", ReceiverSettings(port=0))
    try:
        good = [str(p) for p in sorted((folder / "scan").glob("*.dcm"))]
        other = case.parent / "other"
        other.mkdir()
        for path in good:
            data = pydicom.dcmread(path)
            data.PatientID = "SOMEBODY ELSE"
            data.SeriesInstanceUID = str(data.SeriesInstanceUID)[:-2] + "7"
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = str(data.SOPInstanceUID)[:-2] + "7"
            data.save_as(other / Path(path).name)

        def pushed(files: list[str]) -> object:
            subprocess.run([str(sender), "127.0.0.1", str(receiver.port), *files], check=True)
            end = time.monotonic() + 20
            while time.monotonic() < end:
                for arrival in receiver.poll():
                    if arrival.ct is not None:
                        return session.take(arrival)
                time.sleep(0.05)
            raise AssertionError(receiver.log)

        first = pushed(good)
        assert first.good  # type: ignore[attr-defined]
        # An unused --same is not spent later, and never against what the files say.
        assert session._answered
        second = pushed([str(p) for p in sorted(other.glob("*.dcm"))])
        assert not second.good and [q.what for q in second.questions] == ["patient"]  # type: ignore[attr-defined]
        assert session.state.last_good is first
        assert any("picture of scan 1 stays" in text for text in told)
        third = session.answer_yes()
        assert third is not None and third.good
        # A tool that a tracker reports is said against the plan; what cannot be used is said and recorded.
        session.take(Arrival("pose", "moved", time.time(), pose=TrackedPose("Robot", np.eye(4))))
        assert any(text.startswith("Robot: ") for text in told)
        session.take(Arrival("", "A file was cut short.", time.time()))
        assert told[-1] == "A file was cut short."
    finally:
        receiver.close()
        session.close()


@pytest.mark.slow
def test_words_typed_at_the_console(folder: Path, case: Path) -> None:
    from queue import Queue

    from cryoneuro.guidance import FolderSource
    from cryoneuro.live import run_live

    told: list[str] = []
    options = LiveOptions(seconds=8.0, pictures=False)
    session = LiveSession(case, options, told.append)
    keys: Queue[str] = Queue()
    threading.Timer(4.0, lambda: [keys.put(w) for w in ("yes", "nonsense", "freeze", "thaw")]).start()
    scans = run_live(session, [FolderSource(folder / "scan", include_old=True)], options, keys)
    assert scans == 1
    text = "\n".join(told)
    assert "Nothing is overlaid" in text and "Type freeze" in text and "The freeze has begun" in text
    assert session.state.last_good is not None and session.setup.freeze_started_s is None
    kinds = [e.kind for e in read_events(case / "events.jsonl")]
    assert {"identity", "freeze", "freeze ended", "live scan"} <= set(kinds)


@pytest.mark.slow
def test_a_run_that_was_cut_off_goes_on(folder: Path, case: Path) -> None:
    from cryoneuro.imaging import read_ct

    told: list[str] = []
    scan = read_ct(folder / "scan")
    first = LiveSession(case, LiveOptions(same=SAME, pictures=False), told.append)
    picture = first.take(Arrival("a", "", time.time(), scan))
    assert picture is not None and picture.good and (case / "live" / "baseline.nrrd").is_file()
    first.freeze(time.time() - 30.0)
    # Nothing is said to it: as after a kill.
    second = LiveSession(case, LiveOptions(pictures=False), told.append)
    assert second.state.baseline is not None and first.state.baseline is not None
    np.testing.assert_array_equal(second.state.baseline[0].array_kji, first.state.baseline[0].array_kji)
    np.testing.assert_allclose(second.state.baseline[1], first.state.baseline[1])
    assert second.setup.freeze_started_s == pytest.approx(first.setup.freeze_started_s)
    assert second.setup.accepted == first.setup.accepted and second.state.count == 1
    assert any("taken over" in text for text in told) and any("freeze goes on since" in text for text in told)
    second.freeze(None)
    (case / "live" / "baseline.nrrd.json").write_text("{")
    third = LiveSession(case, LiveOptions(pictures=False), told.append)
    assert third.state.baseline is None and third.setup.freeze_started_s is None and "starts anew" in told[-1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "No source"),
        (("--watch", "/nowhere/at/all"), "no folder"),
        (("--igtl", "somewhere"), "HOST:PORT"),
        (("--listen", "70000"), "port"),
        (("--listen", "0", "--tls", "a.pem"), "two files or three"),
        (("--listen", "0", "--ae-title", "x" * 20), "AE title"),
        (("--listen", "0", "--address", "notanip"), "IP address"),
        (("--listen", "0", "--seconds", "-1"), "0 or more"),
    ],
)
def test_wrong_arguments_are_sentences(
    case: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("live", case, "--no-pictures", *arguments) == GuidanceError.exit_code
    assert words in capsys.readouterr().err


def test_a_case_without_a_plan_is_refused(tmp_path: Path, phantom, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    from cryoneuro.pipeline import new_case

    save_case(new_case(phantom.ct), tmp_path / "bare")
    for command in (("live", tmp_path / "bare", "--listen", "0"), ("virtual-scan", tmp_path / "bare", "--output", "x")):
        assert run(*command) == GuidanceError.exit_code
        assert "no plan yet" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("live", tmp_path / "bare", "--frozen-since", "noon")
