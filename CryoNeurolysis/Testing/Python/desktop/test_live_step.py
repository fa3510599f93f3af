"""The step Live, clicked through: scans fall into a folder, are asked about, laid under the plan, said and recorded."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest
from cryoneuro.model import Case
from cryoneuro.session import read_events
from cryoneuro.training import ScanSettings, room_truth, virtual_room_scan, write_dicom_series

pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (extra: dev)")

helpers = importlib.import_module("test_panel")


@pytest.fixture
def following(window, phantom, planned_case: Case, tmp_path: Path):
    """The panel at the step Live, watching a folder."""
    helpers.add_ct(window, phantom)
    helpers.give(window, planned_case)
    ui = window.go("live")
    ui.sourceSelector.setCurrentIndex(1)
    window.panel.step("live").onSource(1)
    watched = tmp_path / "export"
    watched.mkdir()
    ui.placeEdit.setText(str(watched))
    window.click(ui.followButton)
    return ui, watched


def scan(case: Case, folder: Path, frozen_s: float = 0.0, seed: int = 0) -> None:
    """A virtual scan as files that fall into the watched folder."""
    assert case.plan is not None and case.anatomy is not None
    settings = ScanSettings(slice_mm=2.5, slices=20, size=200, pixel_mm=1.3, seed=seed)
    made = virtual_room_scan(case.ct, case.anatomy, room_truth(case.plan), settings, frozen_s)
    scratch = folder.parent / f"made-{seed}"
    write_dicom_series(made, scratch)
    for path in scratch.iterdir():
        shutil.copy(path, folder / f"{seed}-{path.name}")


@pytest.mark.slow
def test_a_procedure_by_clicks(window, following, planned_case: Case, tmp_path: Path) -> None:
    ui, watched = following
    room = window.panel.step("live").room
    assert "Waiting for scans" in ui.saidText.toPlainText() and ui.sourceSelector.isEnabled() is False
    scan(planned_case, watched)
    window.until(lambda: room.picture is not None, 60)
    window.settle(50)
    # The phantom does not say whose it is: nothing is overlaid before somebody has said yes.
    assert room.scanNode() is None and "Not overlaid" in ui.adviceLabel.text()
    assert not ui.yesButton.isHidden() and "Is it the same" in ui.questionLabel.text()
    window.click(ui.yesButton)
    window.until(lambda: room.picture.good and room.picture.run is not None, 60)
    window.settle(50)
    assert ui.yesButton.isHidden() and room.scanNode().GetScene() is window.scene
    assert ui.errorTable.rowCount() == 1 and float(ui.errorTable.item(0, 1).text()) == pytest.approx(3.0, abs=1.2)
    names = helpers.node_names(window)
    # Everything of the plan that is left lies under the transform; nothing lies in the planning CT's place any more.
    assert "Planning CT to live scan" in names and window.runner.nodes is None
    assert "drawn again" not in window.status()
    window.panel.present(window.runner, window.runner.case)
    assert window.runner.nodes is None
    window.click(ui.freezeBeginsButton)
    window.until(lambda: "Freeze ends" in ui.freezeBeginsButton.text(), 5)
    scan(planned_case, watched, 60.0, 1)
    window.until(lambda: room.picture.countdown is not None, 90)
    window.settle(50)
    assert "nerve" in ui.saidText.toPlainText().lower()
    assert window.states()["live"] in ("done", "needs attention")
    window.click(ui.freezeBeginsButton)
    window.click(ui.followButton)
    assert not room.isFollowing() and ui.followButton.text() == "Follow"
    assert not room.isShowing() and window.runner.nodes is not None
    assert "Planning CT to live scan" not in helpers.node_names(window)
    # What was asked, answered and seen is in the record that is saved.
    window.panel.step("report").save(str(tmp_path))
    window.wait()
    (record,) = tmp_path.glob("*/events.jsonl")
    kinds = [e.kind for e in read_events(record)]
    assert {"identity", "freeze", "freeze ended", "live scan"} <= set(kinds) and not window.runner.records


def test_what_cannot_be_followed_is_a_sentence(window, phantom, planned_case: Case, tmp_path: Path) -> None:
    helpers.add_ct(window, phantom)
    ui = window.go("live")
    assert not ui.followButton.isEnabled()
    helpers.give(window, planned_case)
    window.go("live")
    for index, place, words in (
        (0, "eleven", "number"),
        (1, "", "Choose the folder"),
        (1, str(tmp_path / "nowhere"), "no folder"),
        (2, "somewhere", "HOST:PORT"),
        (3, "", "No DICOM database"),
    ):
        ui.sourceSelector.setCurrentIndex(index)
        window.panel.step("live").onSource(index)
        ui.placeEdit.setText(place)
        window.click(ui.followButton)
        assert words in window.status(), window.status()
        assert not window.panel.step("live").room.isFollowing()


def test_closing_the_scene_ends_it(window, following) -> None:
    ui, _watched = following
    room = window.panel.step("live").room
    assert room.isFollowing()
    window.scene.Clear(0)
    window.settle(100)
    assert not room.isFollowing() and room.picture is None
    assert ui.followButton.text() in ("Follow", "Stop following")


def test_a_port_is_listened_at_and_given_back(window, phantom, planned_case: Case) -> None:
    import socket

    helpers.add_ct(window, phantom)
    helpers.give(window, planned_case)
    ui = window.go("live")
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
    ui.placeEdit.setText(str(port))
    window.click(ui.followButton)
    assert f"port {port}" in ui.saidText.toPlainText()
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    window.click(ui.followButton)
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        pass
    # Taken by somebody else: a sentence, and nothing is waited for.
    with socket.create_server(("127.0.0.1", port)):
        window.click(ui.followButton)
        assert "another port" in window.status() and not window.panel.step("live").room.isFollowing()


def test_a_missing_package_is_offered(window, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    import slicer
    from CryoNeurolysisLib.desktop import services

    asked: list[str] = []
    installed: list[str] = []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, **more: asked.append(text) or True, raising=False
    )
    monkeypatch.setattr(slicer.util, "pip_install", installed.append, raising=False)
    services.offerPackage("pynetdicom", "pynetdicom>=3.0", "Receiving DICOM")
    assert "pynetdicom" in asked[0] and installed == ["pynetdicom>=3.0"]
