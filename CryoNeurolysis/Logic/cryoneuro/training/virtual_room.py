"""A scan of a planned case as the virtual CT room makes it: the patient has moved, the probe lies a little off, ice grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..model import Anatomy, CtVolume, GuidanceError, Plan, Trajectory, across, moved
from ..thermal import simulate
from .virtual_ct import IceShape, ScanSettings, Shaft, scan_geometry, virtual_scan

_SHAFT_MM = 200.0


def virtual_room_scan(
    ct: CtVolume,
    anatomy: Anatomy,
    plan: Plan,
    settings: ScanSettings,
    off_mm: float = 3.0,
    moved_mm: float = 8.0,
    turned_deg: float = 3.0,
    frozen_s: float = 0.0,
    patient: int = 0,
    probes: bool = True,
) -> CtVolume:
    """Scan a planned case with its probes in place.

    Args:
        off_mm: how far the probes lie beside their plan; moved_mm, turned_deg: how the patient has moved since the planning CT.
        frozen_s: how long the freeze has gone on; 0 before it.
        patient: the same number gives the same probe error and movement, so that scans belong together.
        probes: False scans before any probe was placed.

    Raises:
        GuidanceError: a negative time. ThermalError: see simulate.
    """
    if frozen_s < 0:
        raise GuidanceError(f"A freeze goes on for 0 s or more, not {frozen_s:g} s.")
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
    shafts = [
        Shaft(
            p.trajectory.tip_ras_mm - _SHAFT_MM * p.trajectory.direction_ras,
            p.trajectory.tip_ras_mm,
            p.probe.diameter_mm,
            0.75,
        )
        for p in placed
    ]
    ice = None
    if frozen_s > 0:
        run = simulate(anatomy, replace(plan, probes=tuple(placed)), snapshot_s=15.0)
        ice = IceShape.at(run, frozen_s)
    geometry = scan_geometry(moved(move, placed[0].trajectory.tip_ras_mm), settings)
    return virtual_scan(ct, geometry, settings, move, shafts if probes else (), ice)
