"""Stepping with numpy alone, for hosts without a compiler: the same steps as compiled.py, on boxes instead of rows.

What is frozen or linked to a probe takes several small steps inside each step of the rest, and hands over the mean of what
it was. Faces and links conduct by the temperatures at the beginning of a large step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from .conductance import conductance
from .far import far_step, seam_inflow, update_ghosts
from .medium import Field
from .patch import Patch, frozen_through_c

if TYPE_CHECKING:
    from .engine import Freezing

_LONGEST_S = 4.0
_SOON_C = 0.5
_COLD_C = 0.5
_SAFE = 0.95
_STEER_S, _RELAX = 5.0, 0.4
"""Over how long a time what a probe of limited power took too much or too little is made up for."""

Slices = tuple[slice, slice, slice]


class VectorisedStepper:
    """Keeps what depends on the box only."""

    def __init__(self) -> None:
        self.number = 0
        self.slow_s = 0.0

    def longest_step_s(self, freezing: Freezing) -> float:
        """The stability limit of unfrozen tissue."""
        self._prepare(freezing)
        return self.slow_s

    def _prepare(self, freezing: Freezing) -> None:
        if self.number == freezing.box_number:
            return
        self.number = freezing.box_number
        p = freezing.patch
        self.solid = frozen_through_c(p)
        self.soon = self.solid + np.minimum(np.float32(_SOON_C), np.float32(0.25) * p.span)
        self.was_cold: Slices | None = _box_of(np.ones(p.shape, bool))
        self.since_far_s = 0.0
        self.next = p.temperature.copy()
        self.links = []
        for one in freezing.links:
            local = one.kji - np.array([a for a, _ in p.box])
            inside = ((local >= 0) & (local < np.array(p.shape))).all(axis=1)
            parts = [a[inside] for a in (one.unfrozen, one.extra, one.deep)]
            self.links.append((tuple(local[inside].T + 1), parts))
        self.told = np.zeros(len(self.links))
        self.linked = np.zeros(p.temperature.shape, bool)
        for where, _ in self.links:
            self.linked[where] = True
        self.slow_s = min(p.slow_step_s(self.linked), _LONGEST_S)

    def advance(self, freezing: Freezing, targets: npt.NDArray[np.float32], dt_s: float) -> int:
        """See engine.Stepper."""
        self._prepare(freezing)
        for number, row in enumerate(targets):
            self._step(freezing, row, dt_s, freezing.time_s + dt_s * (number + 1), number + 1 == len(targets))
            if freezing._near_side():
                self._far(freezing)
                return number + 1
        return len(targets)

    def _step(self, freezing: Freezing, target: npt.NDArray[np.float32], dt_s: float, now_s: float, last: bool) -> None:
        p = freezing.patch
        dt = np.float32(dt_s)
        cold = _box_of(p.temperature[p.inner] < _COLD_C)
        self._conduct(p, cold)
        on = bool(np.isfinite(target).any())
        pulls = self._driven(freezing, target, dt_s) if on else None
        if not on:
            freezing.surfaces_c[:] = freezing.steer[:, 2] = np.nan
        # What a probe is linked to goes with the ice also while the probe is off: its faces may conduct very well.
        seeds = (p.temperature < (self.soon if on else self.solid)) | self.linked
        fast = _box_of(seeds[p.inner])
        before = p.temperature
        if fast is not None:
            fast = _grown(fast, p.shape)
            end, mean = self._fast(p, fast, dt_s, pulls, freezing)
            frozen = p.enthalpy[fast].copy()
            before = p.temperature.copy()
            before[fast] = mean
        self._slow(p, before, dt)
        if fast is not None:
            p.enthalpy[fast] = frozen
            self.next[fast] = end
        if freezing.far is not None:
            p.temperature[:] = before
            seam_inflow(freezing.far, p, dt_s)
            self.since_far_s += dt_s
        p.temperature[p.inner] = self.next[p.inner]
        if freezing.far is not None and (last or self.since_far_s + dt_s > min(freezing.far.step_s, _LONGEST_S)):
            self._far(freezing)
        _book(freezing, dt, now_s)

    def _far(self, freezing: Freezing) -> None:
        """Let the coarse grid catch up."""
        if freezing.far is None or self.since_far_s == 0.0:
            return
        far_step(freezing.far, self.since_far_s)
        self.since_far_s = 0.0
        update_ghosts(freezing.far, freezing.patch)

    def _conduct(self, p: Patch, cold: Slices | None) -> None:
        """Conductances of the faces of what is cold or was a step ago."""
        here = _union(cold, self.was_cold)
        self.was_cold = cold
        if here is None:
            return
        for axis in range(3):
            low = list(here)
            low[axis] = slice(here[axis].start - 1, here[axis].stop)
            one = tuple(low)
            other = tuple(slice(s.start + 1, s.stop + 1) if n == axis else s for n, s in enumerate(low))
            half = np.float32(0.5)
            p.face[axis][one] = conductance(
                p.unfrozen_face[axis][one],
                p.extra_face[axis][one],
                p.deep_face[axis][one],
                half * (p.liquidus_c[one] + p.liquidus_c[other]),
                half * (p.span[one] + p.span[other]),
                p.temperature[one],
                p.temperature[other],
            )

    def _driven(
        self, freezing: Freezing, target: npt.NDArray[np.float32], dt_s: float
    ) -> tuple[Field, Field, list[tuple[int, Field]]]:
        """Conductance to the probes and what they pull towards, on the box with ghosts, and each probe's (number, share of the
        pull at its voxels)."""
        p = freezing.patch
        strength, towards = (np.zeros(p.temperature.shape, np.float32) for _ in range(2))
        own: list[tuple[int, Field]] = []
        for number, (where, parts) in enumerate(self.links):
            freezing.surfaces_c[number] = surface = float(target[number])
            if np.isnan(surface):
                freezing.steer[number, 2] = np.nan
                continue
            power = float(freezing.power_w[number])
            if np.isfinite(power):
                volume = (freezing.medium.grid_mm * 1e-3) ** 3
                factor, debt_j, last_c = freezing.steer[number]
                allowed = max(power - debt_j / max(_STEER_S, dt_s), 0.0) * dt_s / (volume * factor)
                surface, self.told[number] = _limited(p, where, parts, surface, allowed, last_c, dt_s)
                freezing.surfaces_c[number] = freezing.steer[number, 2] = surface
            pull = conductance(
                parts[0],
                parts[1],
                parts[2],
                p.liquidus_c[where],
                p.span[where],
                p.temperature[where],
                np.float32(surface),
            )
            strength[where] += pull
            towards[where] += pull * np.float32(surface)
            own.append((number, pull))
        some = np.abs(strength) > 1e-6
        np.divide(towards, strength, out=towards, where=some)
        towards[~some] = p.temperature[~some]
        whole = np.where(some, strength, np.float32(np.inf))
        return strength, towards, [(n, pull / whole[self.links[n][0]]) for n, pull in own]

    def _fast(
        self,
        p: Patch,
        box: Slices,
        dt_s: float,
        pulls: tuple[Field, Field, list[tuple[int, Field]]] | None,
        freezing: Freezing,
    ) -> tuple[Field, Field]:
        """Small steps of a box; its enthalpy is changed. Returns the temperature at the end and the mean on the way."""
        around: Slices = tuple(slice(s.start - 1, s.stop + 1) for s in box)  # type: ignore[assignment]
        field = p.temperature[around].copy()
        inner = (slice(1, -1),) * 3
        t = field[inner]
        faces = []
        for axis in range(3):
            low = list(box)
            low[axis] = slice(box[axis].start - 1, box[axis].stop)
            faces.append(np.ascontiguousarray(p.face[axis][tuple(low)]))
        total = np.zeros(t.shape, np.float32)
        for axis, face in enumerate(faces):
            low_face, high_face = _sides(face, axis)
            total += low_face
            total += high_face
        h, iu, im, if_, m, tl, ga = (
            np.ascontiguousarray(a[box])
            for a in (
                p.enthalpy, p.inverse_heat, p.inverse_mushy, p.inverse_frozen, p.mushy_total, p.liquidus_c, p.heat_slope
            )
        )  # fmt: skip
        curved = bool(ga.any())
        depth = np.maximum(tl - p.span[box] - t + np.float32(10.0), 0.0)
        rate = total * np.maximum(iu, if_ / np.maximum(1.0 - ga * depth, 0.1))
        small = max(1, int(np.ceil(dt_s * float(rate.max()) / _SAFE)))
        dt = np.float32(dt_s / small)
        # Blood and exchange, once in every large step.
        warm = t >= tl
        flow = p.perfusion[box] * warm + p.exchange[box]
        h += dt_s * (p.supply[box] * warm + p.exchange_supply[box] - flow * t) / (1.0 + np.float32(dt_s) * flow * iu)
        mean = np.zeros(t.shape, np.float32)
        where: tuple[npt.NDArray[np.intp], ...] = ()
        if pulls is not None:
            strength, towards, _ = pulls
            where = tuple(np.nonzero(self.linked[box]))
            pull, goal = strength[box][where], towards[box][where]
            if_w, goal_h = if_[where], p.enthalpy_at(tuple(a + s.start for a, s in zip(where, box, strict=True)), goal)
            body = np.float32(freezing.medium.body_c)
            wait = np.maximum(np.float32(0.1) * (body - goal), np.float32(1.0))
            taken = np.zeros(len(goal), np.float64)
        rate, one = np.empty_like(t), np.empty_like(t)
        flux = [np.empty(face.shape, np.float32) for face in faces]
        for _ in range(small):
            mean += t
            rate.fill(0.0)
            for axis, face in enumerate(faces):
                index = list(inner)
                index[axis] = slice(None)
                line = field[tuple(index)]
                low_t, high_t = [slice(None)] * 3, [slice(None)] * 3
                low_t[axis], high_t[axis] = slice(None, -1), slice(1, None)
                np.subtract(line[tuple(high_t)], line[tuple(low_t)], out=flux[axis])
                flux[axis] *= face
                low_flux, high_flux = _sides(flux[axis], axis)
                rate += high_flux
                rate -= low_flux
            if pulls is not None:
                # The link is taken point-implicitly, with the heat capacity up to the probe's temperature.
                own, gap, lack = rate[where], goal - t[where], goal_h - h[where]
                # Links that give heat back belong to a field that is cold already; before it is they wait.
                ready = np.clip((body - t[where]) / wait, 0.0, 1.0)
                strong = np.where(pull < 0, pull * ready, pull)
                wide = (np.abs(gap) > 0.01) & (np.abs(lack) > 1e3)
                inverse = np.where(wide, gap / np.where(wide, lack, 1.0), if_w)
                change = dt * (own + strong * gap) / (1.0 + dt * np.maximum(strong, 0.0) * inverse)
                taken += dt * own - change
                rate *= dt
                rate[where] = change
            else:
                rate *= dt
            h += rate
            # Temperature from enthalpy.
            np.add(h, m, out=one)
            np.minimum(one, 0.0, out=one)
            one *= if_
            if curved:
                root = np.sqrt(np.maximum(1.0 + 2.0 * ga * one, 0.01))
                one *= 2.0
                one /= 1.0 + root
            np.maximum(h, 0.0, out=rate)
            rate *= iu
            one += rate
            np.maximum(h, -m, out=rate)
            np.minimum(rate, 0.0, out=rate)
            rate *= im
            one += rate
            one += tl
            t[...] = one
        p.enthalpy[box] = h
        mean /= np.float32(small)
        if pulls is not None:
            field_of = np.zeros(t.shape, np.float64)
            field_of[where] = taken
            self._settle(freezing, dt_s, field_of, box, pulls[2])
        return t, mean

    def _settle(
        self,
        freezing: Freezing,
        dt_s: float,
        taken: npt.NDArray[np.float64],
        box: Slices,
        shares: list[tuple[int, Field]],
    ) -> None:
        """What each probe of limited power took, against what was foretold and what it may (see compiled._settle)."""
        volume = (freezing.medium.grid_mm * 1e-3) ** 3
        for number, share in shares:
            power = float(freezing.power_w[number])
            if np.isfinite(power):
                where = tuple(a - s.start for a, s in zip(self.links[number][0], box, strict=True))
                took = float((taken[where] * share).sum()) * volume
                factor, debt_j, _ = freezing.steer[number]
                freezing.steer[number, 1] = max(debt_j + took - power * dt_s, -_STEER_S * power)
                if self.told[number] > 0 and took > 0:
                    ratio = took / (self.told[number] * volume * factor)
                    freezing.steer[number, 0] = float(np.clip(factor * (0.7 + 0.3 * ratio), 0.2, 5.0))

    def _slow(self, p: Patch, before: Field, dt: np.float32) -> None:
        """One large step of the whole box, from temperatures in which what is stepped fast has its mean."""
        inner = p.inner
        rate = np.zeros(p.shape, np.float32)
        for axis in range(3):
            index: list[slice] = [slice(1, -1)] * 3
            index[axis] = slice(None)
            line = before[tuple(index)]
            low, high = [slice(None)] * 3, [slice(None)] * 3
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            flux = line[tuple(high)] - line[tuple(low)]
            index[axis] = slice(0, -1)
            flux *= p.face[axis][tuple(index)]
            low_flux, high_flux = _sides(flux, axis)
            rate += high_flux
            rate -= low_flux
        t = before[inner]
        warm = t >= p.liquidus_c[inner]
        flow = p.perfusion[inner] * warm
        flow += p.exchange[inner]
        gain = p.supply[inner] * warm
        gain += p.exchange_supply[inner]
        gain -= flow * t
        flow *= dt
        flow *= p.inverse_heat[inner]
        flow += np.float32(1.0)
        gain /= flow
        rate += gain
        rate *= dt
        p.enthalpy[inner] += rate
        self.next[inner] = p.temperature_at(inner, p.enthalpy[inner])


def _limited(
    p: Patch,
    where: tuple[npt.NDArray[np.intp], ...],
    parts: list[Field],
    target_c: float,
    allowed: float,
    last_c: float,
    dt_s: float,
) -> tuple[float, float]:
    """The coldest surface, not below the target, at which a probe takes no more than is allowed in a step, and what it takes
    there, J/m3 summed over its voxels (see compiled._foretold)."""
    t, h, liquidus, span = (a[where] for a in (p.temperature, p.enthalpy, p.liquidus_c, p.span))
    inflow = np.zeros(len(t), np.float32)
    for axis in range(3):
        for step in (-1, 1):
            other = tuple(a + step if n == axis else a for n, a in enumerate(where))
            face = p.face[axis][other if step < 0 else where]
            inflow += face * (p.temperature[other] - t)

    def taken(surface: float) -> float:
        pull = conductance(parts[0], parts[1], parts[2], liquidus, span, t, np.float32(surface))
        gap, heat = np.float32(surface) - t, p.enthalpy_at(where, np.float32(surface)) - h
        wide = (np.abs(gap) > 0.01) & (np.abs(heat) > 1e3)
        inverse = np.where(wide, gap / np.where(wide, heat, 1.0), p.inverse_frozen[where])
        held = dt_s * np.maximum(pull, 0.0) * inverse
        return float((dt_s * (inflow * held - pull * gap) / (1.0 + held)).sum(dtype=np.float64))

    surface, high = target_c, max(target_c, float(t.max()))
    if taken(target_c) > allowed:
        surface = high
        if taken(high) < allowed:
            surface = float(brentq(lambda c: taken(c) - allowed, target_c, high, xtol=0.01, maxiter=40))
    if np.isfinite(last_c):
        # Conduction answers within the step, which the foretelling does not know: go part of the way.
        surface = max(target_c, last_c + _RELAX * (surface - last_c))
    return surface, taken(surface)


def _sides(face: Field, axis: int) -> tuple[Field, Field]:
    """The faces before and after each voxel along an axis."""
    low, high = [slice(None)] * 3, [slice(None)] * 3
    low[axis], high[axis] = slice(None, -1), slice(1, None)
    return face[tuple(low)], face[tuple(high)]


def _box_of(mask: npt.NDArray[np.bool_]) -> Slices | None:
    """The smallest box, in indices with ghosts, that holds a mask of the box without them."""
    found = []
    for axis in range(3):
        line = np.flatnonzero(mask.any(axis=tuple(n for n in range(3) if n != axis)))
        if not len(line):
            return None
        found.append(slice(int(line[0]) + 1, int(line[-1]) + 2))
    return (found[0], found[1], found[2])


def _grown(box: Slices, shape: tuple[int, ...]) -> Slices:
    """A box with one layer more on every side, within the patch."""
    a, b, c = (slice(max(1, s.start - 1), min(n + 1, s.stop + 1)) for s, n in zip(box, shape, strict=True))
    return (a, b, c)


def _union(one: Slices | None, other: Slices | None) -> Slices | None:
    if one is None or other is None:
        return one or other
    a, b, c = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(one, other, strict=True))
    return (a, b, c)


def _book(freezing: Freezing, dt: np.float32, now_s: float) -> None:
    """What happened: coldest, time below, first time below, vessels lost."""
    p = freezing.patch
    inner = p.inner
    t = p.temperature[inner]
    coldest = p.coldest_c[inner]
    np.minimum(coldest, t, out=coldest)
    for number, isotherm in enumerate(freezing.isotherms_c):
        cold = t <= isotherm
        if not cold.any():
            continue
        p.below_s[number][inner][cold] += dt
        first = p.first_s[number][inner]
        first[cold & (first < 0)] = np.float32(now_s)
    lost = t < p.stasis_c[inner]
    if lost.any():
        p.perfusion[inner][lost] = 0.0
        p.supply[inner][lost] = 0.0
