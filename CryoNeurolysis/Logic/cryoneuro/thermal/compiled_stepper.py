"""Hands a calculation's arrays to the compiled kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import compiled
from .patch import frozen_through_c

if TYPE_CHECKING:
    from .engine import Freezing

_LONGEST_S = 4.0
_MARGIN = 3
_SOON_C = 0.5
_COLD_C = 0.5


class CompiledStepper:
    """Keeps the work arrays of one box."""

    def __init__(self) -> None:
        self.number = 0
        self.work: dict[str, Any] = {}
        self.slow_s = 0.0

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
        w: dict[str, Any] = {name: np.zeros(shape, np.float32) for name in ("Z", "A", "L", "Hp", "Tp", "Q")}
        w["Y"] = patch.temperature.copy()
        w["loss"], w["supply"] = patch.perfusion + patch.exchange, patch.supply + patch.exchange_supply
        w["solid"] = frozen_through_c(patch)
        w["soon"] = w["solid"] + np.minimum(np.float32(_SOON_C), np.float32(0.25) * patch.span)
        w["watch"] = np.full(shape, np.float32(_COLD_C))
        w["live"] = patch.active.astype(np.float32)
        rows = ("c_lo", "c_hi", "s_lo", "s_hi", "l_lo", "l_hi", "f_lo", "f_hi", "lo", "hi", "d_lo", "d_hi")
        w |= {name: np.zeros(n[:2], np.int64) for name in rows}
        w |= {name: np.zeros(n[:2], np.bool_) for name in ("linked", "touched", "woken", "resting")}
        # The first step looks at every face once, whatever it conducted before.
        w["f_lo"][:], w["f_hi"][:] = 1, n[2] + 1
        cold = (patch.temperature < _COLD_C)[patch.inner]
        some = cold.any(axis=2)
        w["c_lo"][some] = cold.argmax(axis=2)[some] + 1
        w["c_hi"][some] = n[2] + 1 - cold[:, :, ::-1].argmax(axis=2)[some]
        starts, index, parts = [0], [], []
        for one in freezing.links:
            local = one.kji - np.array([a for a, _ in patch.box])
            inside = ((local >= 0) & (local < np.array(n))).all(axis=1)
            local = local[inside] + 1
            index.append(np.ravel_multi_index(tuple(local.T), shape))
            parts.append([a[inside] for a in (one.unfrozen, one.extra, one.deep)])
            starts.append(starts[-1] + len(local))
            for k, j, i in local:
                row = (k - 1, j - 1)
                w["l_lo"][row] = min(i, w["l_lo"][row]) if w["l_hi"][row] else i
                w["l_hi"][row] = max(i + 1, w["l_hi"][row])
        linked = np.zeros(shape, bool)
        for some in index:
            linked.ravel()[some] = True
        self.slow_s = min(patch.slow_step_s(linked), _LONGEST_S)
        w["starts"] = np.array(starts, np.int64)
        w["index"] = np.concatenate(index).astype(np.int64) if index else np.zeros(0, np.int64)
        columns = zip(*parts, strict=True) if parts else [[np.zeros(0, np.float32)]] * 3
        for name, values in zip(("u", "e", "d"), columns, strict=True):
            w[name] = np.concatenate(list(values)).astype(np.float32)
        w["share"], w["R"] = (np.zeros(len(w["index"]), np.float32) for _ in range(2))
        far = freezing.far
        if far is not None:
            w["far1"] = far.temperature.copy()
            w["free"] = far.free.astype(np.float32)
            w["factive"] = far.known.astype(np.float32)
        else:
            none = np.zeros((3, 3, 3), np.float32)
            w |= {name: none.copy() for name in ("far", "far1", "f0", "floss", "fsupply", "inflow", "free", "fcold")}
        self.work = w

    def advance(self, freezing: Freezing, targets: npt.NDArray[np.float32], dt_s: float) -> int:
        """See engine.Stepper."""
        self._prepare(freezing)
        w, p, far = self.work, freezing.patch, freezing.far
        far_every = max(1, int(min(far.step_s, _LONGEST_S) / dt_s)) if far is not None else 1
        surfaces = np.full(len(freezing.links), np.nan, np.float32)
        volume = (freezing.medium.grid_mm * 1e-3) ** 3

        def flat(array: Any) -> Any:
            return array.ravel()

        def axes(faces: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            """x, y, z, which run along i, j, k."""
            return flat(faces[2]), flat(faces[1]), flat(faces[0])

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
            p.shape, len(targets), float(dt_s), float(freezing.time_s), 0.0, _MARGIN, freezing.open_sides,
            flat(p.temperature), flat(w["Y"]), flat(w["Z"]), flat(w["A"]), flat(p.enthalpy),
            *axes(p.face), *axes(p.unfrozen_face), *axes(p.extra_face), *axes(p.deep_face),
            flat(p.inverse_heat), flat(p.inverse_mushy), flat(p.inverse_frozen), flat(p.mushy_total), flat(p.liquidus_c),
            flat(p.span), flat(w["solid"]), flat(w["soon"]), flat(w["watch"]), flat(p.heat_slope),
            flat(p.perfusion), flat(p.supply), flat(p.exchange), flat(p.exchange_supply), flat(w["loss"]), flat(w["supply"]),
            flat(p.stasis_c),
            flat(p.coldest_c), flat(p.below_s), flat(p.first_s), freezing.isotherms_c, flat(w["live"]),
            w["c_lo"], w["c_hi"], w["s_lo"], w["s_hi"], w["l_lo"], w["l_hi"], w["f_lo"], w["f_hi"], w["lo"], w["hi"],
            w["linked"], w["d_lo"], w["d_hi"], w["touched"], w["woken"], w["resting"],
            targets, freezing.power_w, volume, freezing.steer, w["starts"], w["index"],
            w["u"], w["e"], w["d"],
            flat(w["L"]), flat(w["Tp"]), flat(w["Hp"]), flat(w["Q"]), w["R"], w["share"], surfaces,
            far is not None, far_every, tuple(a for a, _ in p.box), far_shape,
            flat(outer[0]), flat(outer[1]), flat(outer[4]), flat(outer[3]), flat(outer[2]),
            *(flat(x) for x in outer[5:]), np.float32(freezing.medium.body_c),
        )  # fmt: skip
        freezing.surfaces_c = surfaces.astype(np.float64)
        return int(done)
