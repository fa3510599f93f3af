"""What can be proven of the desktop side without Slicer: the runner on real MRML, the worker with a plain timer.

The panel itself, in a window, is another test's matter; nothing here shows that Qt's connections are right.
"""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from cryoneuro.imaging import Phantom
from cryoneuro.model import CancelledError, ImageError, PlanningError
from cryoneuro.pipeline import Request

pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")

from CryoNeurolysisLib.desktop.case_runner import CaseRunner
from CryoNeurolysisLib.desktop.worker import BackgroundJob
from CryoNeurolysisLib.scene.host import HeadlessHost
from CryoNeurolysisLib.scene.nodes import ctNode


class Signal:
    def connect(self, function) -> None:
        self.function = function


class Timer:
    def __init__(self) -> None:
        self.timeout = Signal()
        self.running = False

    def setInterval(self, milliseconds: int) -> None:
        self.interval = milliseconds

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


def until(job: BackgroundJob, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while job.isRunning() and time.monotonic() < end:
        job.poll()
        time.sleep(0.005)
    assert not job.isRunning()


@pytest.fixture
def job() -> BackgroundJob:
    return BackgroundJob(Timer())


def test_results_arrive_on_the_polling_thread(job: BackgroundJob) -> None:
    seen: list[object] = []

    def work(progress, cancelled):
        progress(0.5, "half")
        return threading.current_thread()

    assert job.start(work, lambda f, t: seen.append((f, t)), seen.append, seen.append)
    assert not job.start(work, print, print, print), "a second job must wait"
    until(job)
    assert seen[0] == (0.5, "half") and seen[1] is not threading.main_thread()
    assert not job._timer.running


def test_a_job_that_never_stops_talking_does_not_hold_the_interface_up(job: BackgroundJob) -> None:
    seen: list[object] = []

    def work(progress, cancelled):
        while not cancelled():
            progress(0.5, "again and again")

    job.start(work, lambda f, t: seen.append(t), print, print)
    start = time.monotonic()
    for _ in range(5):
        job.poll()
    assert time.monotonic() - start < 2.0 and 0 < len(seen) <= 5
    job.cancel()
    end = time.monotonic() + 20.0
    while job.isRunning() and time.monotonic() < end:
        job.poll()
    assert not job.isRunning()


def test_a_failing_job_is_reported_and_the_next_one_runs(job: BackgroundJob) -> None:
    seen: list[object] = []

    def work(progress, cancelled):
        raise ImageError("a sentence")

    job.start(work, print, print, seen.append)
    until(job)
    assert str(seen[0]) == "a sentence"
    job.start(lambda p, c: 7, print, seen.append, print)
    until(job)
    assert seen[1] == 7


def test_cancel_reaches_the_job(job: BackgroundJob) -> None:
    seen: list[object] = []

    def work(progress, cancelled):
        while not cancelled():
            time.sleep(0.002)
        raise CancelledError("stopped")

    job.start(work, print, print, seen.append)
    job.cancel()
    until(job)
    assert isinstance(seen[0], CancelledError)


def test_an_abandoned_job_says_nothing_more(job: BackgroundJob) -> None:
    seen: list[object] = []
    release = threading.Event()
    job.start(lambda p, c: release.wait(5), print, seen.append, seen.append)
    job.abandon()
    release.set()
    time.sleep(0.05)
    job.poll()
    assert seen == [] and not job.isRunning()


def test_an_abandoned_job_stays_stopped_when_the_next_one_starts(job: BackgroundJob) -> None:
    ended = threading.Event()

    def first(progress, cancelled):
        while not cancelled():
            time.sleep(0.002)
        ended.set()

    job.start(first, print, print, print)
    job.abandon()
    job.start(lambda p, c: time.sleep(0.05), print, lambda r: None, print)
    assert ended.wait(2.0)
    until(job)


def test_close_waits_for_the_job(job: BackgroundJob) -> None:
    ended = threading.Event()

    def work(progress, cancelled):
        while not cancelled():
            time.sleep(0.002)
        time.sleep(0.1)
        ended.set()

    job.start(work, print, print, print)
    job.close()
    assert ended.is_set()


def test_a_job_runs_although_the_event_loop_keeps_pythons_lock(job: BackgroundJob) -> None:
    """Slicer's event loop waits with the lock held. Emulated by a foreign sleep that does not give it up."""
    import ctypes

    held_sleep = ctypes.PyDLL(None).usleep
    counted = []

    def work(progress, cancelled):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            counted.append(sum(range(200)))

    job.start(work, print, lambda r: None, print)
    while job.isRunning():
        held_sleep(job._timer.interval * 1000)
        job.poll()
    # Without the handing over the thread gets the lock only between two waits and counts a few hundred times.
    free = 0
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        sum(range(200))
        free += 1
    assert len(counted) > 0.25 * 5 * free


def test_the_straight_line_on_a_scene(phantom: Phantom, remembered_anatomy) -> None:
    with HeadlessHost() as host:
        volume = ctNode(host.scene, phantom.ct)
        runner = CaseRunner(host.scene)
        quiet = (lambda f, t: None, lambda: False)
        case = runner.plan(runner.readCt(volume), Request("intercostal", probe_count=1), *quiet).case
        runner.show(case, volume)
        assert runner.timesS() == [] and runner.showTime(0) == ""
        assert "Path 1" in runner.text()
        frozen = runner.freeze(case, *quiet)
        runner.show(frozen, volume)
        names = [host.scene.GetNthNode(n).GetName() for n in range(host.scene.GetNumberOfNodes())]
        assert names.count("Anatomy") == 1, "showing again must replace, not add"
        count = host.scene.GetNumberOfNodes()
        runner.show(frozen, volume)
        assert host.scene.GetNumberOfNodes() == count, "nothing is left behind"
        hierarchy = host.scene.GetSubjectHierarchyNode()
        folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(runner.nodes.segmentation))
        assert "CryoNeurolysis" in hierarchy.GetItemName(folder)
        assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volume)) != folder, "the CT stays where it was"
        with pytest.raises(CancelledError):
            runner.freeze(case, lambda f, t: None, lambda: True)
        with pytest.raises(ImageError, match="no longer in the scene"):
            runner.show(frozen, None)
        assert runner.showTime(2).endswith("min") and "VERDICT" in runner.text()
        assert runner.nodes is not None
        points = runner.nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints()
        runner.showTime(0)
        assert runner.nodes.isotherms[0.0].GetPolyData().GetNumberOfPoints() < points
        runner.clear()
        assert host.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode") is None
        assert host.scene.GetNodeByID(volume.GetID()) is not None
        assert np.array_equal(runner.readCt(volume).array_kji, phantom.ct.array_kji)


def test_organs_come_from_a_segmentation_of_the_scene(phantom: Phantom, phantom_anatomy, remembered_anatomy) -> None:
    """A segmentation node on its own grid, overlapping segments included, gives the engine what it holds."""
    from cryoneuro.imaging import label_on_grid
    from cryoneuro.model import Anatomy, Structure, StructureRole
    from CryoNeurolysisLib.scene.nodes import segmentationNode

    grid = phantom_anatomy.geometry
    labels = label_on_grid(phantom.labels_kji, phantom.ct.geometry, grid)
    value = {name: number for number, name in phantom.names.items()}
    masks = {"kidney_left": labels == value["kidney_left"], "colon": labels == value["colon"]}
    masks["ureter_left"] = masks["kidney_left"] & (np.arange(labels.shape[2]) % 2 == 0)
    structures = tuple(
        Structure(name, name.split("_")[0], StructureRole.AVOID, mask, "drawn", "by hand", "high")
        for name, mask in masks.items()
    )
    drawn = Anatomy(grid, phantom_anatomy.tissue, structures)
    with HeadlessHost() as host:
        volume = ctNode(host.scene, phantom.ct)
        node = segmentationNode(host.scene, drawn, volume)
        runner = CaseRunner(host.scene)
        assert runner.labels(None) is None
        source = runner.labels(node)
        assert source is not None
        found = source.read()
        maps = {layer.names[1]: layer for layer in (found, *found.further)}
        assert sorted(maps) == ["colon", "kidney left", "ureter left"]
        for name, mask in masks.items():
            layer = maps[name.replace("_", " ")]
            assert np.array_equal(label_on_grid(layer.labels_kji, layer.geometry, grid) > 0, mask), name
        quiet = (lambda f, t: None, lambda: False)
        case = runner.plan(runner.readCt(volume), Request("intercostal", probe_count=1), *quiet, found).case
        assert case.anatomy is not None and case.anatomy.structure("kidney_left").origin == "imported"
        with pytest.raises(PlanningError, match="no course yet"):
            CaseRunner(host.scene).confirm()
        runner.show(case, volume)
        assert runner.confirm().plan.nerve.confirmed
        transform = host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        node.SetAndObserveTransformNodeID(transform.GetID())
        with pytest.raises(ImageError, match="under a transform"):
            runner.labels(node)
