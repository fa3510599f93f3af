"""The bioheat solver: a fine box round the ice inside a coarser grid, stepped compiled or with plain numpy.

    dH/dt = div(k grad T) + W (T_body - T) + Q + exchange + probes

H is the stored variable (volumetric enthalpy, zero at the liquidus), so latent heat is conserved. Heat through a face is
c (T_j - T_i), with c the face's own conductance integrated between the two temperatures (conductance.py), so that a face
within one tissue carries exactly the Kirchhoff-transformed difference, and no heat flows where there is no difference. What the
fine box takes through its sides is booked as lost by the coarse cells beside it: no heat is made or lost at the seam.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any
from typing import Protocol as Interface

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from ..knowledge import constant
from ..model import ThermalError
from .far import Far, far_edge_w, far_step, make_far, update_ghosts, upsampled, whole_field
from .links import ColdSurface, Link, link
from .medium import Field, Medium, fitted
from .patch import Box, Patch, make_patch, moved_patch

Targets = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]
"""Surface temperatures (N, probes) at N times in s; NaN where a probe is off."""

MARGIN = 3
LANES = 16
_FIRST_MARGIN = 4
_GROW = 4
_FIRST_STEP_S, _STEP_GROWS = 0.25, 0.1
_CALM_S, _AT_ONCE = 10.0, 32
_SUDDEN_C = 20.0
_COLD_C = 0.5
_REST_STEP_S = 4.0


class Stepper(Interface):
    """Takes large steps on a patch and the grid outside it; see compiled.py and vectorised.py."""

    def longest_step_s(self, freezing: Freezing) -> float:
        """Largest step that is stable and exact enough."""

    def advance(self, freezing: Freezing, targets: npt.NDArray[np.float32], dt_s: float) -> int:
        """Take up to len(targets) steps; returns how many were taken before the ice came near the box's side."""


_PATCH_STATE = ("temperature", "enthalpy", "perfusion", "supply", "coldest_c", "below_s", "first_s")
_FAR_STATE = ("temperature", "inflow", "coldest_c")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a calculation needs to go on from a moment.

    Attributes:
        patch, far: copies of the arrays that change, by name; far is empty where there is no coarse grid.
        calm_s, before_c: how long the probes have done the same, and what they were last asked for; steer: see Freezing.
        edge_j: heat that has come in through the outside of the grid.
        fingerprint: of tissue grid, probes and way of stepping; a state goes on only where they are the same.
    """

    time_s: float
    box: Box
    patch: dict[str, npt.NDArray[np.float32]]
    far: dict[str, npt.NDArray[np.float32]]
    surfaces_c: npt.NDArray[np.float64]
    calm_s: float
    before_c: npt.NDArray[np.float64]
    steer: npt.NDArray[np.float64]
    edge_j: float
    fingerprint: str


@cache
def compiled_available() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


class Freezing:
    """A calculation in progress.

    Attributes:
        time_s: how far it is.
        surfaces_c: (probes,) surface temperatures of the last step, NaN where a probe is off.
        steer: (probes, 3) for probes of limited power: by what factor their heat was foretold wrong, what they have taken
            beyond their power so far, J, and their last surface temperature.
    """

    def __init__(
        self,
        medium: Medium,
        surfaces: Sequence[ColdSurface],
        isotherms_c: Sequence[float],
        power_w: Sequence[float] = (),
        step_s: float | None = None,
        compiled: bool | None = None,
        links: Sequence[Link] | None = None,
        composite: bool = True,
        tissue_key: bytes | None = None,
    ) -> None:
        """Start at body temperature.

        Args:
            surfaces: the probes' cold surfaces.
            isotherms_c: watched temperatures; times below them are kept.
            power_w: most heat that each probe can take, W; endless when empty.
            step_s: largest step; the solver's own choice when None.
            compiled: with numba; None takes it when it is installed.
            composite: a coarser grid outside the box round the ice; False computes everything on the fine grid.
            tissue_key: says which tissue this is, where the medium already holds what was put in; made from it when None.
        """
        self.shape_kji = medium.classes_kji.shape
        kept = [getattr(medium.palette, f.name) for f in fields(medium.palette)]
        # Fluids put in later change the medium, not where the calculation began.
        self.halves_at_start = b"" if tissue_key is None else tissue_key
        if tissue_key is None:
            self.halves_at_start = hashlib.sha256(
                medium.classes_kji.tobytes() + b"".join(k.tobytes() for k in kept)
            ).digest()
        self.medium = medium = _widened(medium)
        self.isotherms_c = np.asarray(isotherms_c, np.float32)
        self.links = tuple(link(medium, s) for s in surfaces) if links is None else tuple(links)
        self.power_w = np.full(len(self.links), np.inf) if not len(power_w) else np.asarray(power_w, float)
        self.surfaces = tuple(surfaces)
        self.step_s = step_s
        self.time_s = self.edge_j = 0.0
        self.surfaces_c = np.full(len(self.links), np.nan)
        self.steer = np.tile([1.0, 0.0, np.nan], (len(self.links), 1))
        self.calm_s, self._before = 0.0, np.full(len(self.links), np.inf)
        use = compiled_available() if compiled is None else compiled
        if use:
            from .compiled_stepper import CompiledStepper

            self.stepper: Stepper = CompiledStepper()
        else:
            from .vectorised import VectorisedStepper

            self.stepper = VectorisedStepper()
        shape = medium.classes_kji.shape
        whole: Box = ((0, shape[0]), (0, shape[1]), (0, shape[2]))
        box = self._first_box() if composite and self.links else whole
        far = None
        if np.prod([b - a for a, b in box]) > 0.7 * np.prod(shape):
            box = whole
        else:
            far = make_far(medium)
            far.cover(box)
        self.far: Far | None = far
        self.patch = self._shaped(make_patch(medium, box, len(self.isotherms_c), constant("stasis_c")))
        self._new_box()

    def _first_box(self) -> Box:
        shape = self.medium.classes_kji.shape
        low = np.min([x.kji.min(axis=0) for x in self.links if len(x.kji)], axis=0) - _FIRST_MARGIN
        high = np.max([x.kji.max(axis=0) for x in self.links if len(x.kji)], axis=0) + 1 + _FIRST_MARGIN
        low = np.maximum(low // 2 * 2, 0)
        high = np.minimum((high + 1) // 2 * 2, shape)
        return (int(low[0]), int(high[0])), (int(low[1]), int(high[1])), _lanes(int(low[2]), int(high[2]), shape[2])

    def _shaped(self, patch: Patch) -> Patch:
        """A new patch with the faces near the probes as their links say."""
        for one in self.links:
            if one.shaping is None:
                continue
            # Both have a layer round them.
            ranges = [(max(a, p), min(b, q)) for (a, b), (p, q) in zip(patch.box, one.shaping.box, strict=True)]
            if any(a >= b for a, b in ranges):
                continue
            here, there = (
                tuple(slice(a - p, b - p + 2) for (a, b), (p, _) in zip(ranges, box, strict=True))
                for box in (patch.box, one.shaping.box)
            )
            for axis in range(3):
                unfrozen, extra, deep = patch.unfrozen_face[axis], patch.extra_face[axis], patch.deep_face[axis]
                warm, cold = one.shaping.unfrozen[axis][there], one.shaping.frozen[axis][there]
                frozen = (unfrozen[here] + extra[here]) * cold
                unfrozen[here] *= warm
                extra[here] = frozen - unfrozen[here]
                deep[here] *= cold
                patch.face[axis][here] = unfrozen[here]
        return patch

    def _new_box(self) -> None:
        """What has to be made anew when the box has changed."""
        if self.far is not None:
            update_ghosts(self.far, self.patch)
        self.box_number = getattr(self, "box_number", 0) + 1

    @property
    def open_sides(self) -> tuple[bool, bool, bool, bool, bool, bool]:
        """Sides of the box that can still be moved outwards: k low, k high, j low, j high, i low, i high."""
        sides = []
        for (a, b), n in zip(self.patch.box, self.medium.classes_kji.shape, strict=True):
            sides += [a > 0, b < n]
        return (sides[0], sides[1], sides[2], sides[3], sides[4], sides[5])

    def _grow(self) -> None:
        """Move the sides that the ice has come near outwards."""
        patch = self.patch
        cold = np.argwhere(patch.temperature[patch.inner] < _COLD_C)
        box = []
        for axis, ((a, b), n) in enumerate(zip(patch.box, self.medium.classes_kji.shape, strict=True)):
            low, high = cold[:, axis].min(), cold[:, axis].max()
            if low < MARGIN:
                a = max(0, a - _GROW)
            if high >= patch.box[axis][1] - patch.box[axis][0] - MARGIN:
                b = min(n, b + _GROW)
            box.append((a, b))
        self._move_box(box)

    def _move_box(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Make the box larger; the new voxels take over the coarse temperatures."""
        assert self.far is not None
        patch = self.patch
        new_box: Box = (ranges[0], ranges[1], _lanes(*ranges[2], self.medium.classes_kji.shape[2]))
        update_ghosts(self.far, patch)
        new = self._shaped(moved_patch(patch, self.medium, new_box, constant("stasis_c")))
        field = upsampled(_readable(self.far), new_box)
        coldest = upsampled(self.far.coldest_c, new_box)
        fresh = np.ones(field.shape, bool)
        fresh[tuple(slice(a - c + 1, b - c + 1) for (a, b), (c, _) in zip(patch.box, new_box, strict=True))] = False
        fresh &= new.active
        new.set_temperature(fresh, field[fresh])
        new.coldest_c[fresh] = np.minimum(coldest[fresh], field[fresh])
        self.patch = new
        self.far.cover(new_box)
        self._new_box()

    def advance(self, to_s: float, targets: Targets, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Go on until to_s; stops early when cancelled."""
        while self.time_s < to_s - 1e-6:
            longest = self.stepper.longest_step_s(self)
            if self.step_s is not None:
                longest = min(longest, self.step_s)
            wanted = np.atleast_2d(targets(np.array([self.time_s + 1e-3])))[0]
            if not self._goes_on(wanted):
                self.calm_s = 0.0
            # Faces conduct by what they were when a step began: while a probe cools down, that changes quickly.
            longest = min(longest, _FIRST_STEP_S + _STEP_GROWS * self.calm_s)
            count = max(1, int(np.ceil((to_s - self.time_s) / longest - 1e-9)))
            dt = (to_s - self.time_s) / count
            now = min(count, _AT_ONCE if self.calm_s > _CALM_S else 4)
            middles = self.time_s + dt * (np.arange(now, dtype=np.float64) + 0.5)
            rows = np.ascontiguousarray(targets(middles)).astype(np.float32)
            done = self.stepper.advance(self, rows, dt)
            self._before = rows[done - 1].astype(np.float64)
            self.edge_j += self.edge_w() * done * dt
            self.calm_s += done * dt
            self.time_s = to_s if done == count else self.time_s + done * dt
            if self._near_side():
                self._grow()
            if cancelled():
                return

    def _goes_on(self, wanted: npt.NDArray[np.float64]) -> bool:
        """Whether the probes are asked for what they did last, or nearly."""
        same = np.isnan(wanted) == np.isnan(self._before)
        close = np.isnan(wanted) | (np.abs(wanted - self._before) < _SUDDEN_C)
        return bool((same & close).all())

    def _near_side(self) -> bool:
        if self.far is None or not any(self.open_sides):
            return False
        t = self.patch.temperature[self.patch.inner]
        sides = self.open_sides
        for axis in range(3):
            for side in (0, 1):
                if sides[2 * axis + side]:
                    index: list[slice] = [slice(None)] * 3
                    index[axis] = slice(0, MARGIN) if side == 0 else slice(-MARGIN, None)
                    if float(t[tuple(index)].min()) < _COLD_C:
                        return True
        return False

    def _whole(self, far_field: Field, patch_field: Field) -> Field:
        if self.far is None:
            return patch_field[self.patch.inner][:, :, : self.shape_kji[2]].copy()
        field = whole_field(self.far, far_field)
        field[tuple(slice(a, b) for a, b in self.patch.box)] = patch_field[self.patch.inner]
        return np.ascontiguousarray(field[:, :, : self.shape_kji[2]])

    def temperature_c(self) -> Field:
        """Temperature on the medium's grid (k, j, i)."""
        return self._whole(
            self.far.temperature if self.far is not None else self.patch.temperature, self.patch.temperature
        )

    def coldest_c(self) -> Field:
        """Coldest temperature so far (k, j, i)."""
        return self._whole(self.far.coldest_c if self.far is not None else self.patch.coldest_c, self.patch.coldest_c)

    def _padded(self, stack: Field, fill: float) -> Field:
        result = np.full((len(stack), *self.medium.classes_kji.shape), np.float32(fill), np.float32)
        result[(slice(None), *(slice(a, b) for a, b in self.patch.box))] = stack[(slice(None), *self.patch.inner)]
        return np.ascontiguousarray(result[..., : self.shape_kji[2]])

    def below_s(self) -> Field:
        """Time at or below each isotherm so far (M, k, j, i), s."""
        return self._padded(self.patch.below_s, 0.0)

    def first_s(self) -> Field:
        """First time at or below each isotherm (M, k, j, i), s; -1 where never."""
        return self._padded(self.patch.first_s, -1.0)

    def heat_j(self) -> float:
        """Enthalpy of everything against body temperature, J; for balances."""
        volume = (self.medium.grid_mm * 1e-3) ** 3
        p, everything = self.patch, (slice(None),) * 3
        body = np.full(p.temperature.shape, np.float32(self.medium.body_c))
        lacking = (p.enthalpy - p.enthalpy_at(everything, body)) * p.active
        total = float(lacking[p.inner].sum(dtype=np.float64)) * volume
        if self.far is not None:
            f = self.far
            live = f.free
            sensible = (f.temperature[live].astype(np.float64) - self.medium.body_c) / f.inverse_heat[live]
            total += float(sensible.sum() + f.inflow[live].sum(dtype=np.float64)) * 8.0 * volume
        return total

    def edge_w(self) -> float:
        """Heat that comes in through the outside of the grid just now, W: from tissue at body temperature beyond it."""
        body = np.float32(self.medium.body_c)
        volume = (self.medium.grid_mm * 1e-3) ** 3
        total = 0.0
        p, shape = self.patch, self.medium.classes_kji.shape
        for axis, ((low, high), n) in enumerate(zip(p.box, shape, strict=True)):
            for at_edge, ghost, edge in ((low == 0, 0, 1), (high == n, -1, -2)):
                if at_edge:
                    weight = np.take(p.face[axis], 0 if ghost == 0 else -2, axis)[1:-1, 1:-1]
                    total += float((weight * (body - np.take(p.temperature, edge, axis)[1:-1, 1:-1])).sum()) * volume
        return total + (0.0 if self.far is None else far_edge_w(self.far, float(body)) * 8.0 * volume)

    def edge_share(self, enough: float) -> float:
        """Part of the heat that the cold has taken so far which came in through the outside of the grid. Where the grid is
        large enough it is next to nothing: then the answer does not depend on what is taken to lie beyond.

        Args:
            enough: up to this share it is not looked at closely. Bare skin draws heat through the outside too, which is no
                fault of the cold and is left out of a larger share.
        """
        share = _share(self.edge_j, -self.heat_j())
        if share <= enough or self.medium.exchange_w_m3k is None:
            return share
        volume = 8.0 * (self.medium.grid_mm * 1e-3) ** 3
        rest, body, edge_j = make_far(self.medium), self.medium.body_c, 0.0
        steps = max(1, int(np.ceil(self.time_s / min(rest.step_s, _REST_STEP_S))))
        for _ in range(steps):
            far_step(rest, self.time_s / steps)
            edge_j += far_edge_w(rest, body) * volume * self.time_s / steps
        live = rest.free
        lacking = float(((body - rest.temperature[live].astype(np.float64)) / rest.inverse_heat[live]).sum()) * volume
        return _share(self.edge_j - edge_j, -self.heat_j() - lacking)

    def at_middle_c(self, probe: int) -> float:
        """Temperature of the tissue where the middle of a probe's cold surface is."""
        kji = np.rint(self.surfaces[probe].middle_kji).astype(int)
        local = [int(np.clip(v - a, 0, b - a - 1)) + 1 for v, (a, b) in zip(kji, self.patch.box, strict=True)]
        return float(self.patch.temperature[local[0], local[1], local[2]])

    def at_points_c(self, kji: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Trilinear temperatures (P,) at points (P, 3) in voxel coordinates of the medium."""
        points = np.asarray(kji, float)
        low = np.array([a for a, _ in self.patch.box])
        local = points - low + 1.0
        values: npt.NDArray[np.float64] = map_coordinates(self.patch.temperature, local.T, order=1, output=np.float64)
        if self.far is not None:
            outside = ~((local >= 0.0) & (local <= np.array(self.patch.temperature.shape) - 1.0)).all(axis=1)
            coarse = (points[outside] - 0.5) / 2.0 + 1.0
            values[outside] = map_coordinates(
                self.far.temperature, coarse.T, order=1, output=np.float64, mode="nearest"
            )
        return values

    def set_temperature(self, mask_kji: npt.NDArray[np.bool_], temperature_c: float) -> None:
        """Give voxels of the medium's grid a temperature: a fluid that has just been put in."""
        mask = fitted(mask_kji, self.medium.classes_kji.shape)
        if self.far is not None and temperature_c < _COLD_C and mask.any():
            # The coarse grid knows no ice.
            where = np.argwhere(mask)
            low, high = (where.min(axis=0) - MARGIN) // 2 * 2, (where.max(axis=0) + MARGIN + 2) // 2 * 2
            ranges = [
                (max(0, min(a, int(p))), min(n, max(b, int(q))))
                for (a, b), p, q, n in zip(self.patch.box, low, high, mask.shape, strict=True)
            ]
            self._move_box(ranges)
        own = np.zeros(self.patch.temperature.shape, bool)
        own[self.patch.inner] = mask[tuple(slice(a, b) for a, b in self.patch.box)]
        own &= self.patch.active
        self.patch.set_temperature(own, np.float32(temperature_c))
        if self.far is not None:
            k, j, i = mask.shape[0] // 2, mask.shape[1] // 2, mask.shape[2] // 2
            share = (
                mask.reshape(k, 2, j, 2, i, 2).mean(axis=(1, 3, 5), dtype=np.float32)
                * self.far.active[1:-1, 1:-1, 1:-1]
            )
            inner = self.far.temperature[1:-1, 1:-1, 1:-1]
            inner += share * (np.float32(temperature_c) - inner)
        self._new_box()

    def change_medium(self, medium: Medium) -> None:
        """Go on in other tissue: a fluid or gas has been put in, or something is warmed from now on."""
        old, far = self.patch, self.far
        self.medium = medium = _widened(medium)
        self.links = tuple(link(medium, s) for s in self.surfaces)
        new = self._shaped(make_patch(medium, old.box, len(self.isotherms_c), constant("stasis_c")))
        for name in ("coldest_c", "below_s", "first_s"):
            getattr(new, name)[:] = getattr(old, name)
        new.temperature[:] = old.temperature
        new.set_temperature(new.active, old.temperature[new.active])
        gas = ~new.active
        new.set_temperature(gas, np.full(int(gas.sum()), np.float32(medium.body_c)))
        lost = new.coldest_c < new.stasis_c
        new.perfusion[lost] = new.supply[lost] = 0.0
        self.patch = new
        if far is not None:
            self.far = make_far(medium)
            for name in _FAR_STATE:
                getattr(self.far, name)[:] = getattr(far, name)
            self.far.cover(new.box)
        self._new_box()

    def checkpoint(self) -> Checkpoint:
        """A copy of the state."""
        far = {} if self.far is None else {name: getattr(self.far, name).copy() for name in _FAR_STATE}
        patch = {name: getattr(self.patch, name).copy() for name in _PATCH_STATE}
        return Checkpoint(
            self.time_s,
            self.patch.box,
            patch,
            far,
            self.surfaces_c.copy(),
            self.calm_s,
            self._before.copy(),
            self.steer.copy(),
            self.edge_j,
            self.fingerprint(),
        )

    def fingerprint(self) -> str:
        """What must be the same for a state to go on: tissue grid, its places, probes, and way of stepping."""
        digest = hashlib.sha256(type(self.stepper).__name__.encode())
        digest.update(str((self.medium.grid_mm, self.medium.body_c, self.medium.classes_kji.shape)).encode())
        digest.update(self.halves_at_start)
        for surface in self.surfaces:
            numbers = (*surface.middle_kji, *surface.axis_kji, surface.diameter_mm, surface.length_mm)
            digest.update(np.round(np.array(numbers), 6).tobytes())
        return digest.hexdigest()

    def restore(self, point: Checkpoint) -> None:
        """Go on from a state of the same probes in the same tissue.

        Raises:
            ThermalError: the state belongs to other probes, other tissue, or the other way of stepping.
        """
        if point.fingerprint != self.fingerprint():
            raise ThermalError(
                "The run to go on from was made with other probes, in other tissue, or with the other solver; only its "
                "schedule and its protections can be changed. Simulate anew."
            )
        self.time_s = point.time_s
        self.patch = self._shaped(make_patch(self.medium, point.box, len(self.isotherms_c), constant("stasis_c")))
        for name, array in point.patch.items():
            getattr(self.patch, name)[:] = array
        if point.far:
            if self.far is None:
                self.far = make_far(self.medium)
            for name, array in point.far.items():
                getattr(self.far, name)[:] = array
            self.far.cover(point.box)
        else:
            self.far = None
        self.surfaces_c = point.surfaces_c.copy()
        self.calm_s, self._before, self.steer = point.calm_s, point.before_c.copy(), point.steer.copy()
        self.edge_j = point.edge_j
        self._new_box()


def _share(edge_j: float, lacking_j: float) -> float:
    return edge_j / (edge_j + max(lacking_j, 1e-9)) if edge_j > 0 else 0.0


def _lanes(low: int, high: int, count: int) -> tuple[int, int]:
    """The range made a multiple of the compiled kernels' block, to both sides as far as the grid allows."""
    size = (high - low + LANES - 1) // LANES * LANES
    start = max(0, min(low - (size - (high - low)) // 2, count - size))
    start -= start % 2
    return start, start + size


def _widened(medium: Medium) -> Medium:
    """The medium with its last plane repeated along i until the count is a multiple of the block."""
    more = -medium.classes_kji.shape[2] % LANES
    if not more:
        return medium

    def pad(array: Any, times: int = 1) -> Any:
        return None if array is None else np.pad(array, ((0, 0), (0, 0), (0, times * more)), mode="edge")

    return replace(
        medium,
        classes_kji=pad(medium.classes_kji),
        exchange_w_m3k=pad(medium.exchange_w_m3k),
        exchange_c=pad(medium.exchange_c),
        halves_kji=pad(medium.halves_kji, 2),
    )


def _readable(far: Far) -> Field:
    """Coarse temperatures with the mean of the conducting ones where there is only gas."""
    if far.active[1:-1, 1:-1, 1:-1].all():
        return far.temperature
    field = whole = far.temperature.copy()
    gas = ~far.active
    whole[gas] = far.temperature[0, 0, 0]
    return field
