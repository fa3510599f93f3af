"""What lies in the patient: tissues, structures and nerves, and what is not known."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .content import frozen_array
from .errors import AnatomyError
from .geometry import VolumeGeometry


class StructureRole(enum.Enum):
    """What a structure means to a path and to the cold."""

    BODY = "body"
    AVOID = "avoid"
    PASS = "pass"
    TARGET = "target"


@dataclass(frozen=True, eq=False)
class Structure:
    """One segmented structure on the anatomy's grid.

    Attributes:
        name: unique name, e.g. "kidney_left".
        group: the kind that limits and nerve records speak of, e.g. "kidney".
        mask_kji: bool (k, j, i).
        origin: "computed", "imported" or "drawn".
        method: how it was made, in words.
        confidence: "high", "medium" or "low".
        confirmed: a person has looked at it and agreed.
        diameter_mm: typical diameter where it acts as a heat sink, else None.
        flow_mm_s: mean speed of the blood in it where it is known, else None.
        center_ras_mm: (N, 3) curve through its middle where it is long and thin, as a rib is; else None.
        lower_edge_ras_mm: (N, 3) its lower edge at the same places, where nerve and vessels of a rib run.
    """

    name: str
    group: str
    role: StructureRole
    mask_kji: npt.NDArray[np.bool_]
    origin: str
    method: str
    confidence: str
    confirmed: bool = False
    diameter_mm: float | None = None
    flow_mm_s: float | None = None
    # Cases that were saved without them keep their hash.
    center_ras_mm: npt.NDArray[np.float64] | None = field(default=None, metadata={"hash_none": False})
    lower_edge_ras_mm: npt.NDArray[np.float64] | None = field(default=None, metadata={"hash_none": False})

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask_kji", frozen_array(self.mask_kji, np.bool_, 3, f"mask of {self.name}"))
        for name in ("center_ras_mm", "lower_edge_ras_mm"):
            if getattr(self, name) is not None:
                curve = frozen_array(getattr(self, name), np.float64, 2, f"{name} of {self.name}")
                if curve.shape[1] != 3 or len(curve) < 2:
                    raise AnatomyError(
                        f"The curve of {self.name} needs two points or more in RAS mm, has {curve.shape}."
                    )
                object.__setattr__(self, name, curve)
        if not self.name or not self.group:
            raise AnatomyError("A structure needs a name and a group.")
        if self.origin not in ("computed", "imported", "drawn"):
            raise AnatomyError(f"Origin of {self.name} must be computed, imported or drawn, not '{self.origin}'.")
        if self.confidence not in ("high", "medium", "low"):
            raise AnatomyError(f"Confidence of {self.name} must be high, medium or low, not '{self.confidence}'.")


@dataclass(frozen=True, eq=False)
class TissueMap:
    """Tissue of every voxel.

    Attributes:
        labels_kji: uint8; the label's number stands in Resources/Data/tissues.json.
        fat_percent_kji: uint8; how much of a voxel of fat or muscle is fat. None: each is what its label says.
    """

    labels_kji: npt.NDArray[np.uint8]
    # Cases that were saved without it keep their hash.
    fat_percent_kji: npt.NDArray[np.uint8] | None = field(default=None, metadata={"hash_none": False})

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels_kji", frozen_array(self.labels_kji, np.uint8, 3, "tissue labels"))
        if self.fat_percent_kji is not None:
            percent = frozen_array(self.fat_percent_kji, np.uint8, 3, "share of fat")
            if percent.shape != self.labels_kji.shape or (percent.size and percent.max() > 100):
                raise AnatomyError("The share of fat must be 0 to 100 percent on the tissue map's grid.")
            object.__setattr__(self, "fat_percent_kji", percent)


@dataclass(frozen=True, eq=False)
class Nerve:
    """Course of a nerve: centerline (N, 3) in RAS mm, its radius, and how far off it may lie (one sigma, mm).

    Attributes:
        target_id: id of its record in nerves.json.
        rule: the landmark rule that gave the course, in words.
        confirmed: a person has looked at the course and agreed.

    Raises:
        AnatomyError: fewer than two points, repeated points, or a radius that is not positive.
    """

    name: str
    target_id: str
    points_ras_mm: npt.NDArray[np.float64]
    radius_mm: float
    sigma_mm: float
    rule: str
    confirmed: bool = False

    def __post_init__(self) -> None:
        points = frozen_array(self.points_ras_mm, np.float64, 2, f"course of {self.name}")
        if points.shape[1] != 3 or len(points) < 2:
            raise AnatomyError(f"The course of {self.name} needs at least two points in RAS mm, has {len(points)}.")
        if np.linalg.norm(np.diff(points, axis=0), axis=1).min() < 1e-6:
            raise AnatomyError(f"The course of {self.name} has two points at the same place; remove one.")
        if not self.radius_mm > 0 or not self.sigma_mm >= 0:
            raise AnatomyError(
                f"{self.name} needs a positive radius and a position sigma of 0 or more, "
                f"has {self.radius_mm} mm and {self.sigma_mm} mm."
            )
        object.__setattr__(self, "points_ras_mm", points)

    @property
    def arc_length_mm(self) -> npt.NDArray[np.float64]:
        """Distance along the course of each point (N,), mm."""
        steps = np.linalg.norm(np.diff(self.points_ras_mm, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    def at(self, distance_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Points (M, 3) in RAS at the given distances (M,) along the course, mm."""
        s = np.atleast_1d(np.asarray(distance_mm, dtype=np.float64))
        arc = self.arc_length_mm
        return np.stack([np.interp(s, arc, self.points_ras_mm[:, axis]) for axis in range(3)], axis=1)

    def tangent_at(self, distance_mm: float) -> npt.NDArray[np.float64]:
        """Unit tangent (3,) of the course at a distance along it."""
        total = float(self.arc_length_mm[-1])
        half = min(2.0, 0.5 * total)
        a, b = self.at([max(0.0, distance_mm - half), min(total, distance_mm + half)])
        result: npt.NDArray[np.float64] = (b - a) / np.linalg.norm(b - a)
        return result


@dataclass(frozen=True, eq=False)
class Anatomy:
    """All that is known of the patient on one grid.

    Attributes:
        geometry: grid shared by the tissue map and every structure.
        tissue: tissue of every voxel.
        structures: segmented structures, unique by name.
        nerves: courses.
        unknown: groups that the target needs and that nobody has segmented.
        cleared: groups that a person has said are not in the field.
        notes: what the segmentation wants the user to know, in sentences.
    """

    geometry: VolumeGeometry
    tissue: TissueMap
    structures: tuple[Structure, ...]
    nerves: tuple[Nerve, ...] = ()
    unknown: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [s.name for s in self.structures]
        if len(set(names)) != len(names):
            raise AnatomyError(f"Two structures share a name: {sorted({n for n in names if names.count(n) > 1})}.")
        for structure in self.structures:
            if structure.mask_kji.shape != self.geometry.shape_kji:
                raise AnatomyError(
                    f"{structure.name} has shape {structure.mask_kji.shape}, the anatomy {self.geometry.shape_kji}."
                )
        if self.tissue.labels_kji.shape != self.geometry.shape_kji:
            raise AnatomyError("The tissue map does not fit the anatomy's grid.")

    def structure(self, name: str) -> Structure:
        """The structure of that name.

        Raises:
            AnatomyError: there is none.
        """
        for structure in self.structures:
            if structure.name == name:
                return structure
        raise AnatomyError(f"No structure is called '{name}'; there are {', '.join(s.name for s in self.structures)}.")

    def has_group(self, group: str) -> bool:
        """Whether any structure of that group has been segmented."""
        return any(s.group == group for s in self.structures)

    @property
    def body_kji(self) -> npt.NDArray[np.bool_]:
        """The body's mask (k, j, i)."""
        return self.structure("body").mask_kji
