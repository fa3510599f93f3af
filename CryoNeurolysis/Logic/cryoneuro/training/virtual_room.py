"""A scan of a planned case as the virtual CT room makes it: the patient has moved, the probe lies a little off, ice grows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from ..model import Anatomy, CtVolume, GuidanceError, Plan, ThermalRun, Trajectory, across, moved
from ..thermal import simulate
from .virtual_ct import IceShape, ScanSettings, Shaft, scan_geometry, virtual_scan

_SHAFT_MM, _POINT_MM = 200.0, 0.75


@dataclass(frozen=True, eq=False)
class RoomTruth:
    """How it really is in the virtual room, to score by.

    Attributes:
        plan_to_live: (4, 4) rigid, RAS mm.
        plan: with the probes where they lie, in the planning CT's frame.
    """

    plan_to_live: npt.NDArray[np.float64]
    plan: Plan


def room_truth(
    plan: Plan, off_mm: float = 3.0, moved_mm: float = 8.0, turned_deg: float = 3.0, patient: int = 0
) -> RoomTruth:
    """Where patient and probes lie in the virtual room.

    Args:
        off_mm: how far the probes lie beside their plan; moved_mm, turned_deg: how the patient has moved since the planning CT.
        patient: the same number gives the same probe error and movement, so that scans belong together.
    """
    rng = np.random.default_rng(patient)
    tip = plan.probes[0].trajectory.tip_ras_mm
    angle = rng.normal(size=3)
    shift = rng.normal(size=3)
    move = np.eye(4)
    move[:3, :3] = Rotation.from_rotvec(np.deg2rad(turned_deg) * angle / np.linalg.norm(angle)).as_matrix()
    move[:3, 3] = tip + moved_mm * shift / np.linalg.norm(shift) - move[:3, :3] @ tip
    placed = []
    for planned in plan.probes:
        path = planned.trajectory
        one, other = across(path.direction_ras)
        turn = rng.uniform(0.0, 2.0 * np.pi)
        aside = off_mm * (np.cos(turn) * one + np.sin(turn) * other)
        placed.append(replace(planned, trajectory=Trajectory(path.entry_ras_mm + aside, path.tip_ras_mm + aside)))
    return RoomTruth(move, replace(plan, probes=tuple(placed)))


def virtual_room_scan(
    ct: CtVolume,
    anatomy: Anatomy,
    truth: RoomTruth,
    settings: ScanSettings,
    frozen_s: float = 0.0,
    probes: bool = True,
    run: ThermalRun | None = None,
) -> CtVolume:
    """Scan a planned case with its probes in place.

    Args:
        frozen_s: how long the freeze has gone on; 0 before it.
        probes: False scans before any probe was placed.
        run: the freeze as it really goes; the plan's own with the probes as they lie when None.

    Raises:
        GuidanceError: a negative time. ThermalError: see simulate.
    """
    if frozen_s < 0:
        raise GuidanceError(f"A freeze goes on for 0 s or more, not {frozen_s:g} s.")
    placed = [p.trajectory for p in truth.plan.probes]
    shafts = [
        Shaft(path.tip_ras_mm - _SHAFT_MM * path.direction_ras, path.tip_ras_mm, p.probe.diameter_mm, _POINT_MM)
        for path, p in zip(placed, truth.plan.probes, strict=True)
    ]
    ice = None
    if frozen_s > 0:
        ice = IceShape.at(run or simulate(anatomy, truth.plan, snapshot_s=15.0), frozen_s)
    geometry = scan_geometry(moved(truth.plan_to_live, placed[0].tip_ras_mm), settings)
    return virtual_scan(ct, geometry, settings, truth.plan_to_live, shafts if probes else (), ice)
