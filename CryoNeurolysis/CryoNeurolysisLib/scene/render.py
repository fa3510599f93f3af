"""Draws a case: three slices through the target, one along the path, a 3D view, and the scene bundle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryoneuro.assessment import neighbor_band_mm
from cryoneuro.knowledge import color
from cryoneuro.model import Case

from .case_scene import CaseNodes, buildCase
from .host import HeadlessHost
from .isotherms import SHOWN_C, isothermColor, isothermWords, shownC
from .views import SliceView, ThreeDView

_SIZE = (640, 640)
_ACROSS_MM = 100.0
_WHITE = (1.0, 1.0, 1.0)
_BACKGROUND = (0.09, 0.10, 0.13)
_SLICES = (("Red", "Axial"), ("Yellow", "Sagittal"), ("Green", "Coronal"))
_SILENT: Callable[[float, str], None] = lambda fraction, text: None  # noqa: E731


def render_case(
    case: Case, folder: Path, progress: Callable[[float, str], None] = _SILENT
) -> tuple[tuple[Path, str], ...]:
    """Write the pictures to folder/report and the scene to folder/scene.mrb.

    Returns:
        (path, caption) of every picture.

    Raises:
        OSError: a file could not be written.
    """
    place = folder / "report"
    place.mkdir(parents=True, exist_ok=True)
    with HeadlessHost() as host:
        progress(0.1, "Building the scene")
        nodes = buildCase(host.scene, case)
        pictures: list[tuple[Path, str]] = []
        target = _target(case)
        for number, (name, orientation) in enumerate(_SLICES):
            progress(0.2 + 0.1 * number, orientation)
            view = SliceView(host, name, orientation, _SIZE)
            view.look(target, _ACROSS_MM, nodes.ct)
            _annotate(view, case, f"{orientation}, through the target")
            path = view.write(place / f"{orientation.lower()}.png")
            pictures.append((path, f"{orientation} slice through the target. {_explained(case)}"))
            view.close()
        progress(0.5, "Along the path")
        if case.plan is not None:
            pictures.append(_alongPath(host, case, nodes, place))
        progress(0.6, "3D view")
        pictures.append(_threeD(host, case, target, place))
        progress(0.7, "Writing the scene")
        host.application.GetSelectionNode().SetActiveVolumeID(nodes.ct.GetID())
        host.save(folder / "scene.mrb")
    progress(1.0, "Pictures done")
    return tuple(pictures)


def _sampled(case: Case) -> bool:
    """Whether the band of doubt comes from a sample of runs, with its probability at hand."""
    ensemble = case.assessment.ensemble if case.assessment is not None else None
    return ensemble is not None and ensemble.probability is not None


def _treatC(case: Case) -> float:
    return SHOWN_C[1] if case.plan is None else case.plan.treat_c


def _explained(case: Case) -> str:
    treat_c = _treatC(case)
    band = (
        f"{treat_c:g} C is reached in 16 (outer) and in 84 (inner, where there is such a place) of a hundred runs of the sample"
        if _sampled(case)
        else f"{treat_c:g} C may lie as well, one sigma ({neighbor_band_mm():.1f} mm)"
    )
    numbers = ", ".join(f"{c:g}" for c in shownC(treat_c))
    return f"Thick lines: coldest reached, {numbers} C; CT itself shows the 0 C edge only. Thin lines: where {band}."


def _target(case: Case) -> np.ndarray:
    if case.plan is not None:
        # Where the nerve lies nearest to the middle of the cold part, which need not be the middle of its course.
        nerve, planned = case.plan.nerve, case.plan.probes[0]
        points = nerve.at(np.arange(0.0, float(nerve.arc_length_mm[-1]) + 0.5, 0.5))
        return points[np.argmin(np.linalg.norm(points - planned.cold_ends_ras_mm.mean(axis=0), axis=1))]
    return case.ct.geometry.center_ras_mm


def _legend(case: Case) -> list[tuple[str, tuple[float, float, float]]]:
    rows = []
    if case.thermal is not None:
        band = "in 16, 84 of 100 runs" if _sampled(case) else f"+-{neighbor_band_mm():.1f} mm"
        treat_c = _treatC(case)
        treated = f"{treat_c:g} C, nerve treated (thin: {band})"
        rows += [(words, isothermColor(c)) for words, c in isothermWords(treat_c, "0 C, edge of the ice", treated)]
    if case.plan is not None:
        sigma = case.plan.nerve.sigma_mm
        rows.append((f"nerve, course +-{sigma:g} mm", color("nerve")))
        rows.append(("probe path, its shadow on this slice", color("trajectory")))
    return rows


def _annotate(view: SliceView, case: Case, title: str) -> None:
    view.rows([(title, _WHITE)], True)
    view.rows(_legend(case), False)
    view.edgeLetters()
    view.scaleBar(20.0)


def _alongPath(host: HeadlessHost, case: Case, nodes: CaseNodes, place: Path) -> tuple[Path, str]:
    assert case.plan is not None
    path = case.plan.probes[0].trajectory
    view = SliceView(host, "Path", "Axial", _SIZE)
    middle = 0.5 * (path.entry_ras_mm + path.tip_ras_mm)
    view.lookAlong(middle, path.direction_ras, max(_ACROSS_MM, 1.35 * path.length_mm), nodes.ct)
    _annotate(view, case, "Plane of the path of probe 1, skin to tip")
    written = view.write(place / "path.png")
    view.close()
    # The extra view is for the picture only; a scene that is opened later has the usual ones.
    for node in (view.composite, view.node):
        if node is not None and node.GetScene() is not None:
            host.scene.RemoveNode(node)
    return written, f"The plane that holds the path from skin to tip. {_explained(case)}"


def _threeD(host: HeadlessHost, case: Case, target: np.ndarray, place: Path) -> tuple[Path, str]:
    view = ThreeDView(host, (800, 640), _BACKGROUND)
    up = np.array([0.0, 0.0, 1.0])
    toward = np.array([0.0, -1.0, 0.2])
    if case.plan is not None and case.anatomy is not None:
        # Across the path, from outside the body, a little from above and from where the probe enters.
        back = -case.plan.probes[0].trajectory.direction_ras
        across = np.cross(up, back)
        body = case.anatomy.geometry.ijk_to_ras_mm(np.argwhere(case.anatomy.body_kji)[::997, ::-1]).mean(axis=0)
        outward = (target - body) * np.array([1.0, 1.0, 0.0])
        across *= 1.0 if float(across @ outward) >= 0 else -1.0
        toward = across / max(float(np.linalg.norm(across)), 1e-6) + 0.35 * back + 0.35 * up
    toward = toward / np.linalg.norm(toward)
    view.look(target, target + 300.0 * toward, up)
    rows: list[tuple[str, Any]] = [("3D, across the path, from outside; head up", _WHITE)]
    view.rows(rows, True)
    view.rows(_legend(case), False)
    path = view.write(place / "3d.png")
    view.close()
    return path, "3D view across the path: bone, vessels, nerve, probe and isotherms near the target."
