"""A path in the words of the CT console."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..model import CtVolume, Trajectory


@dataclass(frozen=True)
class ConsolePose:
    """What the operator dials in.

    Attributes:
        depth_mm: skin to tip.
        axial_angle_deg: in the axial plane, from straight down (patient's back-to-front or front-to-back) to the side.
        tilt_deg: out of the axial plane, positive toward the head.
        entry_slice, tip_slice: numbers of the CT's slices, counted from 1 as stored.
        table_s_mm: S of the entry in the scan's coordinates, where the table is driven to.
        lateral_mm: of the entry from the laser line, positive toward the patient's right.
    """

    depth_mm: float
    axial_angle_deg: float
    tilt_deg: float
    entry_slice: int
    tip_slice: int
    table_s_mm: float
    lateral_mm: float
    text: str


def console_pose(trajectory: Trajectory, ct: CtVolume) -> ConsolePose:
    """Table position, offset from the laser line, depth, angles and slices of a path.

    The laser's sagittal line is taken at R 0 of the scan's coordinates: scanners count patient coordinates from the axis of
    the gantry (usual practice, medium confidence; a shifted or resampled picture may have lost it, so the text says it).
    """
    d = trajectory.direction_ras
    tilt = float(np.rad2deg(np.arcsin(np.clip(d[2], -1, 1))))
    axial = float(np.rad2deg(np.arctan2(abs(d[0]), abs(d[1]))))
    entry_k, tip_k = (
        int(np.rint(ct.geometry.ras_to_ijk(p)[0, 2])) + 1 for p in (trajectory.entry_ras_mm, trajectory.tip_ras_mm)
    )
    toward = "front" if d[1] > 0 else "back"
    side = "patient right" if d[0] > 0 else "patient left"
    head = "head" if tilt > 0 else "feet"
    table_s_mm, lateral_mm = float(trajectory.entry_ras_mm[2]), float(trajectory.entry_ras_mm[0])
    aside = "right" if lateral_mm > 0 else "left"
    text = (
        f"table at S {table_s_mm:.1f} mm, entry {abs(lateral_mm):.0f} mm to the patient's {aside} of the laser line (R 0), "
        f"depth {trajectory.length_mm:.0f} mm, {axial:.0f} degrees off vertical toward {side} going to the {toward}, "
        f"{abs(tilt):.0f} degrees toward the {head}, entry slice {entry_k}, tip slice {tip_k}"
    )
    return ConsolePose(trajectory.length_mm, axial, tilt, entry_k, tip_k, table_s_mm, lateral_mm, text)
