"""Hands a calculation's arrays to the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import compiled

if TYPE_CHECKING:
    from .engine import Freezing

_LONGEST_S = 4.0
_MARGIN = 3
_SOON_C = 0.5


class CompiledStepper:
    """Keeps the work arrays of one box."""

    def __init__(self) -> None:
        self.number = 0
        self.work: dict[str, Any] = {}
        self.slow_s = self.coldest_c = 0.0

    @property
    def pace(self) -> object:
        """The coldest that a probe was."""
        return self.coldest_c

    @pace.setter
    def pace(self, value: object) -> None:
        assert isinstance(value, float)
        self.coldest_c = value

    def longest_step_s(self, freezing: Freezing) -> float:
        """The stability limit of unfrozen tissue."""
        self._prepare(freezing)
        return self.slow_s

    def _prepare(self, freezing: Freezing) -> None:
        if self.number == freezing.box_number:
            return
        self.number = freezing.box_number
        patch = freezing.patch
        shape = patch.temperature.shape
        n = patch.shape
        self.slow_s = min(patch.slow_step_s(), _LONGEST_S)
        self.fast_s = 0.0
        self.limits: dict[float, float] = {}
        span = patch.mushy_total * patch.inverse_mushy
        w: dict[str, Any] = {
            name: np.zeros(shape, np.float32) for name in ("Z", "GZ", "S", "GS", "Lu", "Le", "Du", "De", "Hp", "Tp")
        }
        w |= {"Y": patch.temperature.copy(), "GY": patch.integral.copy()}
        w["loss"], w["supply"] = patch.perfusion + patch.exchange, patch.supply + patch.exchange_supply
        w["solid"] = patch.liquidus_c - span
        w["soon"] = w["solid"] + np.minimum(np.float32(_SOON_C), np.float32(0.25) * span)
        w["watch"] = np.full(shape, np.float32(0.5))
        w["live"] = patch.active.astype(np.float32)
        rows = ("c_lo", "c_hi", "s_lo", "s_hi", "l_lo", "l_hi", "lo", "hi", "d_lo", "d_hi")
        w |= {name: np.zeros(n[:2], np.int64) for name in rows}
        w |= {name: np.zeros(n[:2], np.bool_) for name in ("linked", "touched", "resting")}
        cold = patch.temperature < 0.5
        for lo, hi, mask in (("c_lo", "c_hi", cold), ("s_lo", "s_hi", patch.temperature < w["solid"])):
            inner = mask[1:-1, 1:-1, 1:-1]
            some = inner.any(axis=2)
            w[lo][some] = inner.argmax(axis=2)[some] + 1
            w[hi][some] = n[2] + 1 - inner[:, :, ::-1].argmax(axis=2)[some]
        starts, index, unfrozen, extra, telling = [0], [], [], [], []
        for one in freezing.links:
            local = one.kji - np.array([a for a, _ in patch.box])
            inside = ((local >= 0) & (local < np.array(n))).all(axis=1)
            local = local[inside] + 1
            index.append(np.ravel_multi_index(tuple(local.T), shape))
            unfrozen.append(one.unfrozen[inside])
            extra.append(one.extra[inside])
            telling.append(one.telling[inside])
            starts.append(starts[-1] + len(local))
            for k, j, i in local:
                row = (k - 1, j - 1)
                w["l_lo"][row] = min(i, w["l_lo"][row]) if w["l_hi"][row] else i
                w["l_hi"][row] = max(i + 1, w["l_hi"][row])
        w["starts"] = np.array(starts, np.int64)
        w["index"] = np.concatenate(index).astype(np.int64) if index else np.zeros(0, np.int64)
        w["u"] = np.concatenate(unfrozen).astype(np.float32) if index else np.zeros(0, np.float32)
        w["e"] = np.concatenate(extra).astype(np.float32) if index else np.zeros(0, np.float32)
        w["tells"] = np.concatenate(telling).astype(np.float32) if index else np.zeros(0, np.float32)
        volume = (freezing.medium.grid_mm * 1e-3) ** 3
        shares = np.array([one.telling_share for one in freezing.links])
        w["power"] = np.where(np.isfinite(freezing.power_w), freezing.power_w / volume * shares, np.inf)
        far = freezing.far
        if far is not None:
            w["far1"] = far.temperature.copy()
            w["free"] = far.free.astype(np.float32)
            w["factive"] = far.active.astype(np.float32)
        else:
            none = np.zeros((3, 3, 3), np.float32)
            w |= {name: none.copy() for name in ("far", "far1", "f0", "floss", "fsupply", "inflow", "free", "fcold")}
        self.work = w

    def advance(self, freezing: Freezing, targets: npt.NDArray[np.float32], dt_s: float) -> int:
        """See engine.Stepper."""
        self._prepare(freezing)
        w, p, far = self.work, freezing.patch, freezing.far
        lowest = float(np.nanmin(targets)) if np.isfinite(targets).any() else -60.0
        lowest = min(lowest, self.coldest_c)
        self.coldest_c = lowest
        key = 20.0 * np.floor(lowest / 20.0)
        if key not in self.limits:
            self.limits[key] = p.fast_step_s(key)
        small = max(1, int(np.ceil(dt_s / self.limits[key] - 1e-9)))
        far_every = max(1, int(min(far.step_s, _LONGEST_S) / dt_s)) if far is not None else 1
        surfaces = np.full(len(freezing.links), np.nan, np.float32)
        body = np.float32(freezing.medium.body_c)

        def flat(array: Any) -> Any:
            return array.ravel()

        if far is not None:
            outer = [far.temperature, w["far1"], *far.face, far.inverse_heat, far.loss, far.supply, far.inflow]
            outer += [w["free"], w["factive"], far.coldest_c]
            far_shape = far.temperature.shape
        else:
            outer = [
                w[n]
                for n in ("far", "far1", "f0", "f0", "f0", "f0", "floss", "fsupply", "inflow", "free", "free", "fcold")
            ]
            far_shape = (3, 3, 3)
        done = compiled.advance(
            p.shape, len(targets), float(dt_s), small, float(freezing.time_s), 0.0, _MARGIN, freezing.open_sides,
            flat(p.temperature), flat(p.integral), flat(w["Y"]), flat(w["GY"]), flat(w["Z"]), flat(w["GZ"]),
            flat(w["S"]), flat(w["GS"]), flat(p.enthalpy),
            flat(p.unfrozen_face[2]), flat(p.unfrozen_face[1]), flat(p.unfrozen_face[0]),
            flat(p.extra_face[2]), flat(p.extra_face[1]), flat(p.extra_face[0]),
            flat(p.inverse_heat), flat(p.inverse_mushy), flat(p.inverse_frozen), flat(p.mushy_total), flat(p.liquidus_c),
            flat(w["solid"]), flat(w["soon"]), flat(w["watch"]), flat(p.conductivity_slope), flat(p.heat_slope),
            flat(p.perfusion), flat(p.supply), flat(p.exchange), flat(p.exchange_supply), flat(w["loss"]), flat(w["supply"]),
            flat(p.stasis_c),
            flat(p.coldest_c), flat(p.below_s), flat(p.first_s), freezing.isotherms_c, flat(w["live"]),
            w["c_lo"], w["c_hi"], w["s_lo"], w["s_hi"], w["l_lo"], w["l_hi"], w["lo"], w["hi"], w["linked"],
            w["d_lo"], w["d_hi"], w["touched"], w["resting"],
            targets, w["power"], w["starts"], w["index"], w["u"], w["e"], w["tells"],
            flat(w["Lu"]), flat(w["Le"]), flat(w["Du"]), flat(w["De"]), flat(w["Hp"]), flat(w["Tp"]), surfaces,
            far is not None, far_every, tuple(a for a, _ in p.box), far_shape,
            flat(outer[0]), flat(outer[1]), flat(outer[4]), flat(outer[3]), flat(outer[2]),
            *(flat(x) for x in outer[5:]), body, np.float32(lowest),
        )  # fmt: skip
        freezing.surfaces_c = surfaces.astype(np.float64)
        return int(done)
