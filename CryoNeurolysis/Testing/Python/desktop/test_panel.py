"""The panel, clicked through in a window: real .ui files, real widget classes, real MRML, stand-ins for Slicer's own widgets.

What this cannot prove is said in slicer_stand_in/__init__.py.
"""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.imaging import Phantom
from cryoneuro.model import CancelledError, Case, ImageError

pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (extra: dev)")

STEPS = ("case", "target", "anatomy", "path", "freeze", "check", "live", "report")


def add_ct(window, phantom: Phantom, name: str = "CT"):
    from CryoNeurolysisLib.scene.nodes import ctNode

    node = ctNode(window.scene, replace(phantom.ct, name=name))
    window.until(lambda: window.panel.volume() is not None and window.panel.look.isKnown)
    return node


def choose(window, target: str, side: str = "left") -> None:
    window.panel.node.target = target
    window.panel.node.side = side
    window.settle()


def give(window, case: Case, target: str = "intercostal") -> None:
    """A case that was made elsewhere, as if the steps before had been done."""
    from CryoNeurolysisLib.desktop.request_text import courseKey, planKey, segmentationKey

    panel = window.panel
    choose(window, target)
    panel.runner().put(case)
    panel.present(panel.runner(), case)
    panel.node.segmentedFor = segmentationKey(panel.node)
    panel.node.courseFor = courseKey(panel.node)
    if case.plan is not None:
        panel.node.plannedFor = planKey(panel.node)
    window.settle()


def node_names(window) -> list[str]:
    return [window.scene.GetNthNode(n).GetName() or "" for n in range(window.scene.GetNumberOfNodes())]


@pytest.mark.slow
def test_a_whole_case_by_clicks(window, tmp_path: Path) -> None:
    """Case to report on the phantom, as a person clicks; every step says what it is."""
    assert set(window.states().values()) == {"to do"}
    assert not window.go("target").proposeButton.isEnabled(), "nothing can be done without a CT"
    node = window.widget.logic.makePhantom()
    window.until(lambda: window.panel.volume() is node and window.panel.look.isKnown)
    window.go("case")
    assert window.states()["case"] == "done"
    assert "170 x 125 x 90" in window.step("case").factsText.toPlainText()
    ui = window.go("target")
    ui.searchEdit.setText("rib fracture")
    window.settle()
    ui.targetList.setCurrentRow(0)
    window.settle()
    assert window.panel.node.target == "intercostal" and "Motor risk" in ui.cardText.toPlainText()
    window.click(ui.proposeButton)
    assert window.states()["target"] == "running"
    window.wait()
    assert window.states()["target"] == "needs attention", "a proposal waits for a yes"
    window.click(ui.acceptButton)
    assert window.states()["target"] == "done" and not ui.acceptButton.isEnabled()
    ui = window.go("anatomy")
    assert ui.structureTable.rowCount() > 8 and window.states()["anatomy"] in ("done", "needs attention")
    ui = window.go("path")
    window.click(ui.planButton)
    window.wait()
    assert ui.pathTable.rowCount() > 3 and ui.clearanceTable.rowCount() > 3
    assert window.states()["path"] == "needs attention", "a plan waits for an approval"
    ui.approverEdit.setText("Dr. A")
    window.click(ui.approveButton)
    assert window.runner.case.plan.approved_by == "Dr. A"
    ui = window.go("freeze")
    window.click(ui.freezeButton)
    window.wait()
    assert ui.neighborTable.rowCount() > 2 and "TREATED" in ui.verdictLabel.text()
    marks = {ui.neighborTable.item(r, 0).text() for r in range(ui.neighborTable.rowCount())}
    assert all(len(mark.split()) == 2 for mark in marks), "a mark and a word, never color alone"
    ui = window.go("check")
    ui.agentEdit.setText("Lidocaine")
    ui.painBeforeSpin.setValue(8)
    ui.painAfterSpin.setValue(2)
    ui.painAfterSpin.editingFinished.emit()
    window.settle()
    assert window.runner.case.check.block.relief_percent == pytest.approx(75.0)
    ui.questionTable.cellClicked.emit(0, 0)
    window.settle()
    assert len(window.runner.case.check.answers) == 1
    ui = window.go("report")
    window.click(ui.refreshButton)
    assert "Dr. A" in ui.previewText.toPlainText()
    report = window.panel.step("report")
    report.save(str(tmp_path))
    window.wait()
    assert (tmp_path / window.runner.case.pseudonym / "report" / "report.html").is_file()
    assert window.states()["report"] == "done"
    report.export(str(tmp_path / "page.html"))
    window.wait()
    assert "Research software, not a medical device" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not [e for e in window.widget.logic.__dict__ if e.startswith("error")]


def test_a_changed_choice_marks_later_steps_stale_and_deletes_nothing(window, phantom, assessed_case) -> None:
    add_ct(window, phantom)
    give(window, assessed_case)
    assert window.states()["freeze"] in ("done", "needs attention")
    window.panel.node.side = "right"
    window.settle()
    states = window.states()
    assert states["target"] == states["path"] == states["freeze"] == "made for something else"
    assert states["anatomy"] != "made for something else"
    assert window.runner.case.thermal is not None and "Isotherm -20 C" in node_names(window)
    window.panel.node.side = "left"
    window.settle()
    assert window.states()["freeze"] in ("done", "needs attention")


def test_weights_rank_again_and_another_path_can_be_taken_back(window, phantom, planned) -> None:
    add_ct(window, phantom)
    give(window, planned.case)
    window.runner.found, window.runner.finalists = planned.found, planned.finalists
    ui = window.go("path")
    tip = window.runner.case.plan.probes[0].trajectory.tip_ras_mm
    ui.pathTable.cellClicked.emit(2, 0)
    window.wait()
    assert not np.array_equal(window.runner.case.plan.probes[0].trajectory.tip_ras_mm, tip)
    assert [ui.pathTable.item(r, 0).text()[0] for r in range(3)].index("\u25cf") == 2
    window.click(window.panel.ui.undoButton)
    assert np.array_equal(window.runner.case.plan.probes[0].trajectory.tip_ras_mm, tip)
    window.click(window.panel.ui.redoButton)
    assert not np.array_equal(window.runner.case.plan.probes[0].trajectory.tip_ras_mm, tip)
    before = [f.rank for f in window.runner.finalists]
    for name in window.panel.step("path").sliders:
        window.panel.step("path").sliders[name].setValue(100 if name == "length" else 0)
    window.settle()
    lengths = [f.plan.probes[0].trajectory.length_mm for f in window.runner.finalists]
    assert lengths == sorted(lengths) and [f.rank for f in window.runner.finalists] != before
    ui.compareBox.click()
    window.settle()
    assert len([n for n in node_names(window) if n in ("Path 1", "Path 2", "Path 3")]) >= 2
    ui.skinBox.click()
    window.wait()
    assert "Skin map" in node_names(window)
    ui.skinBox.click()
    window.settle()
    assert "Skin map" not in node_names(window)
    window.click(ui.whyButton)
    interaction = window.scene.GetFirstNodeByClass("vtkMRMLInteractionNode")
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    placed = window.scene.GetFirstNodeByName("Why not here?")
    placed.AddControlPoint(*[float(v) for v in planned.found.entry_ras_mm[0]])
    window.until(lambda: not window.panel.placing.isPlacing())
    window.wait()
    assert "path" in ui.whyLabel.text() and window.scene.GetFirstNodeByName("Why not here?") is None
    assert interaction.GetCurrentInteractionMode() != interaction.Place


def test_dragging_the_path_gives_its_numbers_and_one_undo_step(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ui = window.go("path")
    window.click(ui.manualButton)
    line = window.runner.nodes.trajectories[0]
    assert not line.GetLocked()
    start = window.runner.case.plan.probes[0].trajectory
    undo = len(window.runner._before)
    for step in range(1, 4):
        line.SetNthControlPointPositionWorld(1, *(start.tip_ras_mm + np.array([0.0, 0.0, 2.0 * step])))
        assert window.runner.case.plan.probes[0].trajectory.tip_ras_mm[2] == pytest.approx(
            start.tip_ras_mm[2] + 2 * step
        )
    window.until(lambda: window.panel.node.pathPoints != "")
    window.wait()
    assert window.runner.case.plan.explanation[0] == "Path drawn by a person."
    assert len(window.runner._before) == undo + 1, "a drag is one step"
    assert any("draws" in text for text in window.runner.case.plan.explanation), "the chance is told when the drag ends"
    window.click(window.panel.ui.undoButton)
    assert np.array_equal(window.runner.case.plan.probes[0].trajectory.tip_ras_mm, start.tip_ras_mm)
    assert window.panel.node.pathPoints == ""


def test_a_course_is_clicked_and_dragged(window, phantom, phantom_anatomy, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ui = window.go("target")
    window.click(ui.drawButton)
    assert "right click" in window.status()
    curve = window.scene.GetFirstNodeByName("Course")
    course = planned_case.plan.nerve
    for point in course.at([5.0, 15.0, 25.0]):
        curve.AddControlPoint(*[float(v) for v in point])
    window.click(ui.drawButton)
    window.wait()
    assert window.scene.GetFirstNodeByName("Course") is None
    found = window.runner.course()
    assert len(found.points_ras_mm) == 3 and found.confirmed
    assert window.states()["path"] == "made for something else"
    shown = window.runner.nodes.nerves[0]
    shown.SetNthControlPointPositionWorld(1, *(course.at([15.0])[0] + [0.0, 0.0, 4.0]))
    window.until(lambda: not window.panel.drag.isDragging())
    moved = window.runner.course()
    assert moved.points_ras_mm[1, 2] == pytest.approx(course.at([15.0])[0, 2] + 4.0, abs=0.01) and not moved.confirmed


def test_one_click_is_no_course(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ui = window.go("target")
    window.click(ui.drawButton)
    window.click(ui.drawButton)
    assert "two points" in window.status()
    window.click(ui.drawButton)
    window.click(window.panel.ui.cancelButton)
    assert not window.panel.placing.isPlacing()


def test_what_is_unknown_is_clicked_in_or_said_not_to_be_there(window, phantom, phantom_anatomy) -> None:
    from cryoneuro.pipeline import Request, course_step, new_case

    add_ct(window, phantom)
    case = course_step(replace(new_case(phantom.ct), anatomy=phantom_anatomy), Request("celiac_plexus"))
    assert "liver" in case.anatomy.unknown
    give(window, case, "celiac_plexus")
    ui = window.go("anatomy")
    names = [ui.structureTable.item(r, 1).text() for r in range(ui.structureTable.rowCount())]
    row = names.index("liver")
    assert "unknown" in ui.structureTable.item(row, 2).text() and row < len(case.anatomy.unknown)
    assert "liver" in ui.anatomyLabel.text()
    box = ui.structureTable.item(row, 4)
    box.setCheckState(window.qt.Qt.Checked)
    window.settle()
    assert "liver" not in window.runner.case.anatomy.unknown and window.panel.node.cleared == ["liver"]
    names = [ui.structureTable.item(r, 1).text() for r in range(ui.structureTable.rowCount())]
    ui.structureTable.item(names.index("liver"), 4).setCheckState(window.qt.Qt.Unchecked)
    window.settle()
    assert "liver" in window.runner.case.anatomy.unknown
    step = window.panel.step("anatomy")
    ui.growSelector.setCurrentIndex(step.groups.index("liver"))
    value = next(v for v, n in phantom.names.items() if n == "liver")
    kji = np.argwhere(phantom.labels_kji == value)
    middle = phantom.ct.geometry.ijk_to_ras_mm(kji[:, ::-1].mean(axis=0))[0]
    window.click(ui.insideButton)
    seeds = window.scene.GetFirstNodeByName("Inside")
    seeds.AddControlPoint(*[float(v) for v in middle])
    window.click(ui.insideButton)
    window.click(ui.outsideButton)
    seeds = window.scene.GetFirstNodeByName("Outside")
    for offset in np.vstack([np.eye(3), -np.eye(3)]) * 45.0:
        seeds.AddControlPoint(*[float(v) for v in middle + offset])
    window.click(ui.outsideButton)
    window.click(ui.growButton)
    window.wait()
    assert "liver" not in window.runner.case.anatomy.unknown, window.status()
    assert window.runner.case.anatomy.structure("liver").origin == "drawn"


def test_structures_come_from_a_file(window, phantom, tmp_path: Path) -> None:
    import SimpleITK as sitk
    from cryoneuro.imaging import to_sitk

    add_ct(window, phantom)
    choose(window, "intercostal")
    image = to_sitk(phantom.labels_kji, phantom.ct.geometry)
    sitk.WriteImage(image, str(tmp_path / "labels.nrrd"))
    names = {str(v): n for v, n in phantom.names.items()}
    (tmp_path / "labels.json").write_text(json.dumps(names), encoding="utf-8")
    window.go("anatomy")
    window.panel.step("anatomy").importFile(str(tmp_path / "labels.nrrd"))
    window.wait()
    window.wait()
    assert window.panel.node.organs is not None
    assert window.runner.case.anatomy.structure("kidney_left").origin == "imported", window.status()
    window.panel.step("anatomy").importFile(str(tmp_path / "nothing.nrrd"))
    window.wait()
    assert "no label map" in window.status() and window.runner.case.anatomy is not None


def test_eyes_show_and_hide_structures(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ui = window.go("anatomy")
    rows = [name for kind, name in window.panel.step("anatomy").rows]
    eye = ui.structureTable.item(rows.index("bone"), 0)
    assert window.runner.isSeen("bone")
    eye.setCheckState(window.qt.Qt.Unchecked)
    window.settle()
    assert not window.runner.isSeen("bone")
    window.panel.present(window.runner, replace(planned_case, software="again"))
    assert not window.runner.isSeen("bone"), "what was hidden stays hidden when something else changes"


def test_time_moves_with_slider_keys_and_clock(window, phantom, assessed_case) -> None:
    add_ct(window, phantom)
    give(window, assessed_case)
    ui = window.go("freeze")
    window.until(lambda: ui.timeLabel.text() != "")
    last = ui.timeSlider.maximum()
    assert ui.timeSlider.value() == last and ui.nervePlot.pixmap().width() > 100
    surface = window.runner.nodes.isotherms[0.0]
    many = surface.GetPolyData().GetNumberOfPoints()
    ui.timeSlider.setValue(0)
    window.until(lambda: ui.timeLabel.text() == "0.0 min")
    assert surface.GetPolyData().GetNumberOfPoints() < many
    window.panel.step("freeze").move(1)
    assert ui.timeSlider.value() == 1
    keys = {key.key().toString(): key for key in window.panel.keys}
    keys["Alt+."].activated.emit()
    assert ui.timeSlider.value() == 2
    window.click(ui.playButton)
    window.until(lambda: ui.timeSlider.value() != 2)
    window.click(ui.playButton)
    value = ui.timeSlider.value()
    window.settle(300)
    assert ui.timeSlider.value() == value
    for fast in range(last + 1):
        ui.timeSlider.setValue(fast)
    calls = []
    real = window.runner.showTime
    window.runner.showTime = lambda index: calls.append(index) or real(index)
    for fast in range(last + 1):
        ui.timeSlider.setValue(last - fast)
    window.settle(100)
    assert calls == [0], "moments that were passed over are not drawn afterwards"


def test_a_job_that_fails_is_a_sentence_and_the_panel_goes_on(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ui = window.go("freeze")

    def broken(case, progress, cancelled):
        raise ImageError("A sentence for the radiologist.")

    window.runner.freeze = broken
    window.click(ui.freezeButton)
    window.wait()
    assert window.status() == "A sentence for the radiologist." and window.states()["freeze"] == "needs attention"
    assert ui.freezeButton.isEnabled()
    del window.runner.freeze
    window.click(ui.freezeButton)
    window.wait()
    assert window.runner.case.assessment is not None


def test_cancel_leaves_everything_as_it_was(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    before, count = window.runner.case, window.scene.GetNumberOfNodes()
    ui = window.go("freeze")
    window.click(ui.freezeButton)
    assert window.panel.ui.cancelButton.isEnabled()
    window.click(window.panel.ui.cancelButton)
    window.wait()
    assert window.runner.case is before and window.scene.GetNumberOfNodes() == count
    assert "stopped" in window.status()


def test_closing_the_scene_while_a_job_runs_leaves_nothing(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    ended = threading.Event()

    def slow(case, progress, cancelled):
        while not cancelled():
            progress(0.5, "half")
        ended.set()
        raise CancelledError("stopped")

    window.runner.freeze = slow
    window.click(window.go("freeze").freezeButton)
    window.scene.Clear(False)
    window.settle(100)
    assert ended.wait(5) and not window.panel.isRunning()
    assert set(window.states().values()) == {"to do"}
    assert not [n for n in node_names(window) if "Isotherm" in n or "Probe" in n]
    assert window.runner.case is None


def test_a_ct_that_is_removed_comes_back_with_its_case(window, phantom, assessed_case) -> None:
    node = add_ct(window, phantom)
    give(window, assessed_case)
    window.go("freeze")
    window.scene.RemoveNode(node)
    window.settle(50)
    assert "Load it again" in window.status() and window.panel.volume() is None
    assert not [n for n in node_names(window) if "Isotherm" in n], "nothing is left behind"
    assert window.states()["freeze"] == "to do"
    add_ct(window, phantom, "the same again")
    window.until(lambda: window.runner.case is not None)
    assert window.runner.case.thermal is assessed_case.thermal and "Isotherm -20 C" in node_names(window)
    assert window.states()["freeze"] in ("done", "needs attention"), "its choices are back as well"


def test_a_ct_removed_while_its_job_runs(window, phantom, planned_case) -> None:
    node = add_ct(window, phantom)
    give(window, planned_case)
    window.click(window.go("freeze").freezeButton)
    window.scene.RemoveNode(node)
    window.wait()
    assert not window.panel.isRunning() and not [n for n in node_names(window) if "Isotherm" in n]


def test_two_cts_have_a_case_each(window, phantom, assessed_case) -> None:
    first = add_ct(window, phantom, "first")
    give(window, assessed_case)
    window.panel.node.cleared = ["bowel"]
    from cryoneuro.imaging import make_phantom
    from CryoNeurolysisLib.scene.nodes import ctNode

    second = ctNode(window.scene, make_phantom(2.0, seed=9).ct)
    window.panel.node.inputVolume = second
    window.until(lambda: window.panel.look.isKnown)
    assert window.runner.case is None and window.states()["freeze"] == "to do"
    assert not [n for n in node_names(window) if "Isotherm" in n]
    assert window.panel.node.cleared == [] and window.panel.node.organs is None
    assert window.panel.node.target == "intercostal", "the nerve stays chosen"
    window.panel.node.inputVolume = first
    window.settle(50)
    assert window.runner.case.thermal is assessed_case.thermal and window.panel.node.cleared == ["bowel"]
    assert "Isotherm -20 C" in node_names(window)
    from CryoNeurolysisLib.scene.segmentation_labels import labelsFromSegmentation

    shown = labelsFromSegmentation(window.runner.nodes.segmentation)
    bone = next(layer for layer in (shown, *shown.further) if "bone" in layer.names.values())
    assert (bone.labels_kji > 0).sum() == assessed_case.anatomy.structure("bone").mask_kji.sum(), "it is not erased"


def test_a_result_goes_to_the_ct_it_was_made_from(window, phantom, planned_case) -> None:
    first = add_ct(window, phantom, "first")
    give(window, planned_case)
    from CryoNeurolysisLib.scene.nodes import ctNode

    second = ctNode(window.scene, replace(phantom.ct, name="second"))
    window.click(window.go("freeze").freezeButton)
    window.panel.node.inputVolume = second
    window.wait()
    assert window.runner.case is None and not [n for n in node_names(window) if "Isotherm" in n]
    window.panel.node.inputVolume = first
    window.settle(50)
    assert window.runner.case.thermal is not None and "Isotherm -20 C" in node_names(window)


def test_a_saved_scene_brings_the_case_back(window, phantom, assessed_case, tmp_path: Path) -> None:
    add_ct(window, phantom)
    give(window, assessed_case)
    window.panel.node.probeCount = 2
    window.panel.node.probeCount = 0
    window.go("freeze")
    states = window.states()
    window.until(window.panel.keeper.isCurrent)
    window.host.save(tmp_path / "scene.mrb")
    window.scene.Clear(False)
    window.settle(50)
    assert window.runner.case is None
    window.host.load(tmp_path / "scene.mrb")
    window.until(lambda: window.runner.case is not None, 30)
    case = window.runner.case
    assert np.array_equal(case.thermal.coldest_c, assessed_case.thermal.coldest_c)
    assert case.plan.nerve.name == assessed_case.plan.nerve.name and window.panel.node.target == "intercostal"
    assert window.states() == states and window.panel.current == STEPS.index("freeze")
    assert node_names(window).count("Isotherm -20 C") == 1 and node_names(window).count("Anatomy") == 1
    hierarchy = window.scene.GetSubjectHierarchyNode()
    folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(window.runner.nodes.segmentation))
    assert "CryoNeurolysis" in hierarchy.GetItemName(folder)


def test_an_archive_of_another_version_is_a_sentence(window, phantom, assessed_case) -> None:
    node = add_ct(window, phantom)
    give(window, assessed_case)
    window.until(window.panel.keeper.isCurrent)
    archive = window.scene.GetFirstNodeByName("CryoNeurolysis case archive")
    text = archive.GetText()
    window.panel.logic.forget()
    archive.SetText("cryoneuro-archive/0\n" + text.partition("\n")[2])
    window.panel.parametersChanged()
    window.panel.look = type(window.panel.look)()
    window.panel.parametersChanged()
    window.until(lambda: window.panel.look.isKnown)
    assert "written as 'cryoneuro-archive/0'" in window.status() and window.runner.case is None
    archive.SetText(text[: len(text) // 2])
    window.panel.look = type(window.panel.look)()
    window.panel.parametersChanged()
    window.until(lambda: window.panel.look.isKnown)
    assert "damaged" in window.status() and node.GetScene() is not None


def test_a_ct_under_a_transform_is_refused_with_a_sentence(window, phantom) -> None:
    node = add_ct(window, phantom)
    transform = window.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetAndObserveTransformNodeID(transform.GetID())
    window.panel.parametersChanged()
    window.settle()
    assert "under a transform" in window.step("case").factsText.toPlainText()
    assert window.states()["case"] == "needs attention"
    choose(window, "intercostal")
    window.click(window.go("target").proposeButton)
    window.wait()
    assert "under a transform" in window.status()
    node.SetAndObserveTransformNodeID(None)
    window.panel.parametersChanged()
    window.until(lambda: window.panel.look.isKnown)
    assert window.states()["case"] == "done"


def test_a_node_that_was_removed_by_hand_is_drawn_again(window, phantom, assessed_case) -> None:
    add_ct(window, phantom)
    give(window, assessed_case)
    window.scene.RemoveNode(window.runner.nodes.isotherms[0.0])
    window.settle(50)
    assert "drawn again" in window.status() and node_names(window).count("Isotherm 0 C") == 1
    window.runner.nodes.segmentation.SetName("my own name")
    window.panel.present(window.runner, replace(window.runner.case, software="x"))
    assert window.runner.nodes.segmentation.GetName() == "my own name"
    window.scene.RemoveNode(window.runner.nodes.segmentation)
    window.settle(50)
    assert node_names(window).count("Anatomy") == 1


def test_undo_reaches_back_over_every_kind_of_edit(window, phantom, assessed_case) -> None:
    add_ct(window, phantom)
    give(window, assessed_case)
    window.click(window.go("target").acceptButton)
    ui = window.go("path")
    ui.approverEdit.setText("Dr. B")
    window.click(ui.approveButton)
    window.click(window.panel.ui.undoButton)
    assert window.runner.case.plan.approved_by == ""
    window.click(window.panel.ui.undoButton)
    assert not window.runner.course().confirmed
    window.click(window.panel.ui.redoButton)
    window.click(window.panel.ui.redoButton)
    assert window.runner.case.plan.approved_by == "Dr. B" and window.runner.course().confirmed


def test_leaving_and_opening_the_module_again_keeps_the_step(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    window.go("path")
    window.widget.exit()
    assert window.panel.node is None
    window.panel.refresh()
    window.widget.enter()
    window.settle()
    assert window.panel.current == STEPS.index("path") and window.runner.case is not None


def test_an_unknown_probe_of_an_older_scene_is_the_default(window, phantom, planned_case) -> None:
    add_ct(window, phantom)
    give(window, planned_case)
    window.panel.node.probe = "a probe of last year"
    window.settle()
    ui = window.go("freeze")
    assert ui.probeSelector.currentIndex() == 0


def test_one_slider_for_each_criterion(window) -> None:
    from cryoneuro.finalists import usual_weights

    assert set(window.panel.step("path").sliders) == set(usual_weights())


def test_a_wrong_connection_would_be_seen(window) -> None:
    """The stand-in raises where a page lacks a widget or a widget lacks a signal."""
    with pytest.raises(AttributeError):
        _ = window.panel.step("path").ui.noSuchButton
    with pytest.raises(AttributeError):
        _ = window.panel.step("path").ui.planButton.clickd


@pytest.mark.parametrize("size", [(470, 560)])
def test_every_page_fits_a_laptop_without_scrolling(window, phantom, assessed_case, size) -> None:
    """1280 x 800 leaves a panel of about 470 x 560 under Slicer's menu, toolbar and module title."""
    add_ct(window, phantom)
    give(window, assessed_case)
    window.frame.resize(*size)
    for name in STEPS:
        window.go(name)
        window.settle(30)
        need = window.frame.minimumSizeHint()
        assert need.width() <= size[0] and need.height() <= size[1], f"{name}: {need.width()} x {need.height()}"
