"""Doubt from a designed sample of runs: what is uncertain is drawn, frozen again on the grid of the plan, and counted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..imaging import sample
from ..knowledge import TissueRecord, constant
from ..model import (
    Anatomy,
    AssessmentError,
    Doubt,
    Driver,
    Plan,
    PlannedProbe,
    ProbeModel,
    ThermalRun,
    Trajectory,
    VolumeGeometry,
    across,
)
from .guards import neighbor_points
from .nerve_dose import nerve_dose

_INPUTS = ("probe strength", "conductivity of ice", "latent heat", "perfusion")
_PLACEMENT = "placement of the probe"
_NERVE = "course of the nerve"
_REGISTRATION = "registration and breathing"
_LOW, _HIGH = 16.0, 84.0


@dataclass(frozen=True, eq=False)
class Variation:
    """One draw, as multiples of one sigma.

    Attributes:
        tissue: (4,) probe strength, conductivity of ice, latent heat, perfusion.
        placement: (P, 3) of each probe: two directions across its path and its depth.
        nerve: (2,) across the nerve's course.
        registration: (3,) along R, A, S: the anatomy against the picture that the probe was put in by.
    """

    tissue: npt.NDArray[np.float64]
    placement: npt.NDArray[np.float64]
    nerve: npt.NDArray[np.float64]
    registration: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What one draw came to.

    Attributes:
        nerve: treated length mm, coldest cross-section C, coldest point C.
        neighbors: coldest point of each neighbor, C.
    """

    nerve: tuple[float, float, float]
    neighbors: tuple[float, ...]
    coldest_c: npt.NDArray[np.float32]


def draw(plan: Plan, samples: int = 64, seed: int = 0) -> tuple[Variation, ...]:
    """Scrambled Sobol points in the standard normal, the same for the same seed.

    Raises:
        AssessmentError: fewer than 8 or more than 4096 samples.
    """
    if seed < 0:
        raise AssessmentError(f"The seed must be 0 or more, but is {seed}.")
    if not 8 <= samples <= 4096:
        raise AssessmentError(f"A sample needs 8 to 4096 runs, but {samples} were asked for.")
    probes = len(plan.probes)
    dimension = 4 + 3 * probes + 2 + 3
    power = int(np.ceil(np.log2(samples)))
    # Half a second to import, needed by nobody who only opens the panel.
    from scipy.stats import norm, qmc

    points = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed)).random_base2(power)[:samples]
    normal = norm.ppf(np.clip(points, 1e-6, 1 - 1e-6))
    found = []
    for row in normal:
        a, b = 4, 4 + 3 * probes
        found.append(Variation(row[:a], row[a:b].reshape(probes, 3), row[b : b + 2], row[b + 2 :]))
    return tuple(found)


def varied_records(records: tuple[TissueRecord, ...], variation: Variation) -> tuple[TissueRecord, ...]:
    """Tissue properties of one draw. Blood in large vessels and gas stay as they are."""
    ice = float(np.exp(constant("conductivity_spread") * variation.tissue[1]))
    latent = float(np.exp(constant("latent_spread") * variation.tissue[2]))
    flow = float(np.exp(constant("perfusion_spread") * variation.tissue[3]))
    return tuple(
        replace(
            r,
            frozen_conductivity_w_mk=r.frozen_conductivity_w_mk * ice,
            frozen_conductivity_slope_w_mk2=r.frozen_conductivity_slope_w_mk2 * ice,
            latent_heat_mj_m3=r.latent_heat_mj_m3 * latent,
            perfusion_w_m3k=r.perfusion_w_m3k * flow,
        )
        if r.conducts and r.perfusion_stops
        else r
        for r in records
    )


def varied_surface(probe: ProbeModel, sigmas: float) -> tuple[float, float]:
    """Settled surface temperature of a probe so many sigmas stronger than taken, C, and its strength as a share of what is
    taken: the distance of its surface to the body's temperature."""
    body = constant("body_temperature_c")
    tip_c = probe.surface_c(sigmas, constant("probe_strength_spread"), body)
    tip_c = min(max(tip_c, constant("coldest_cryogen_c")), -1.0)
    return tip_c, (body - tip_c) / (body - probe.tip_temperature_c)


def varied_probes(plan: Plan, variation: Variation) -> tuple[PlannedProbe, ...]:
    """The probes of one draw: stronger or weaker, and where the hand put them."""
    lateral, deep = constant("targeting_error_sigma_mm"), constant("depth_error_sigma_mm")
    found = []
    for planned, moved in zip(plan.probes, variation.placement, strict=True):
        tip_c, strength = varied_surface(planned.probe, float(variation.tissue[0]))
        power = planned.probe.power_w
        probe = replace(
            planned.probe,
            tip_temperature_c=tip_c,
            surface_span_c=None,
            power_w=None if power is None else power * max(strength, 0.1),
        )
        one, other = across(planned.trajectory.direction_ras)
        shift = lateral * (moved[0] * one + moved[1] * other) + deep * moved[2] * planned.trajectory.direction_ras
        path = Trajectory(planned.trajectory.entry_ras_mm + shift, planned.trajectory.tip_ras_mm + shift)
        found.append(replace(planned, probe=probe, trajectory=path))
    return tuple(found)


class Judge:
    """Reads runs of one plan in one anatomy: what does not change from draw to draw is prepared once."""

    def __init__(self, anatomy: Anatomy, plan: Plan, nominal: ThermalRun) -> None:
        self.plan = plan
        self.names, self.groups, self.points = [], [], []
        body = constant("body_temperature_c")
        for name, group, points in neighbor_points(anatomy, nominal.geometry):
            # Only what the cold could reach in any draw; the rest stays at body temperature.
            if len(points):
                near = sample(nominal.coldest_c, nominal.geometry, points, 1, outside=body) < body - 1.0
                points = points[near]
            self.names.append(name)
            self.groups.append(group)
            self.points.append(points)
        tangent = plan.nerve.tangent_at(0.5 * float(plan.nerve.arc_length_mm[-1]))
        self.across_nerve = across(tangent)

    def outcome(self, run: ThermalRun, variation: Variation) -> Outcome:
        """What a draw's run came to."""
        nerve = self.plan.nerve
        registration = constant("registration_sigma_mm") * variation.registration
        shift = registration + nerve.sigma_mm * (
            variation.nerve[0] * self.across_nerve[0] + variation.nerve[1] * self.across_nerve[1]
        )
        treat = self.plan.treat_c
        dose = nerve_dose(run, nerve, shift, treat)
        found = (dose.treated_length_mm(treat), float(dose.section_c.min()), float(dose.innermost_c.min()))
        body = constant("body_temperature_c")
        cold = []
        for points in self.points:
            if not len(points):
                cold.append(body)
                continue
            cold.append(float(sample(run.coldest_c, run.geometry, points + registration, 1, outside=body).min()))
        return Outcome(found, tuple(cold), run.coldest_c)

    def doubt(
        self,
        variations: tuple[Variation, ...],
        outcomes: tuple[Outcome | None, ...],
        geometry: VolumeGeometry,
        isotherms_c: tuple[float, ...],
        seed: int,
    ) -> Doubt:
        """The sample as bands, chances and drivers. None stands for a draw that could not be: probes through each other.

        Raises:
            AssessmentError: fewer than eight draws could be computed.
        """
        kept = [(v, o) for v, o in zip(variations, outcomes, strict=True) if o is not None]
        if len(kept) < 8:
            raise AssessmentError(
                f"Only {len(kept)} of {len(outcomes)} draws could be computed; too few to say anything."
            )
        limits = self.plan.limits
        nerve = np.array([o.nerve for _, o in kept])
        cold = np.array([o.neighbors for _, o in kept]).reshape(len(kept), -1)
        treated = (nerve[:, 0] >= limits["nerve.treated_length"].stop) & (nerve[:, 1] <= limits["nerve.coldest"].stop)
        spared = nerve[:, 2] >= limits["nerve.overfreeze"].stop
        stops = np.array([limits.get(f"guard.{g}", "guard.default").stop for g in self.groups])
        safe_each = cold >= stops
        safe = safe_each.all(axis=1) & spared
        impossible = len(outcomes) - len(kept)
        total = len(outcomes)
        chances = [
            ("treated", float(treated.sum()) / total),
            ("safe", float(safe.sum()) / total),
            ("treated and safe", float((treated & safe).sum()) / total),
            *((f"guard.{n}", float(safe_each[:, i].mean())) for i, n in enumerate(self.names)),
        ]
        ids = ("nerve.treated_length", "nerve.coldest", "nerve.overfreeze", *(f"guard.{n}" for n in self.names))
        values = np.concatenate([nerve, cold], axis=1)
        bands = []
        for column, name in enumerate(ids):
            low, middle, high = np.percentile(values[:, column], [_LOW, 50.0, _HIGH])
            bands.append((name, float(low), float(middle), float(high)))
        probability = np.stack([np.mean([o.coldest_c <= c for _, o in kept], axis=0) for c in isotherms_c])
        voxel_ml = geometry.voxel_volume_mm3 / 1000.0
        volumes = []
        for isotherm in isotherms_c:
            each = [float(np.count_nonzero(o.coldest_c <= isotherm)) * voxel_ml for _, o in kept]
            volumes.append((float(isotherm), *(float(v) for v in np.percentile(each, [_LOW, 50.0, _HIGH]))))
        drivers = self._drivers("treated length", kept, nerve[:, 0])
        worst = int(np.argmin((cold - stops).min(axis=0))) if cold.shape[1] else -1
        if worst >= 0 and np.ptp(cold[:, worst]) > 1.0:
            drivers += self._drivers(f"coldest point of {self.names[worst].replace('_', ' ')}", kept, cold[:, worst])
        sentences = _sentences(chances, drivers, len(kept), impossible, seed)
        return Doubt(
            len(kept),
            seed,
            tuple(bands),
            tuple(chances),
            tuple(drivers),
            tuple(volumes),  # type: ignore[arg-type]
            sentences,
            tuple(float(c) for c in isotherms_c),
            geometry,
            probability.astype(np.float32),
        )

    def _drivers(
        self, outcome: str, kept: list[tuple[Variation, Outcome]], values: npt.NDArray[np.float64]
    ) -> list[Driver]:
        """Shares of variance by a regression on the draws; distances count straight and squared, for a miss to either
        side is a miss."""
        spread = float(values.std())
        if spread < 1e-9:
            return []
        groups: dict[str, list[npt.NDArray[np.float64]]] = {}
        for number, name in enumerate(_INPUTS):
            groups[name] = [np.array([v.tissue[number] for v, _ in kept])]
        placement = np.array([v.placement.ravel() for v, _ in kept]).T
        groups[_PLACEMENT] = [*placement, *(placement**2 - 1.0)]
        nerve = np.array([v.nerve for v, _ in kept]).T
        groups[_NERVE] = [*nerve, *(nerve**2 - 1.0)]
        registration = np.array([v.registration for v, _ in kept]).T
        groups[_REGISTRATION] = [*registration, *(registration**2 - 1.0)]
        columns = [c for group in groups.values() for c in group]
        matrix = np.stack([np.ones(len(kept)), *columns], axis=1)
        # A ridge, and shares of what the regression would explain of new draws: many columns, few draws.
        ridge = 0.1 * len(kept) * np.eye(matrix.shape[1])
        ridge[0, 0] = 0.0
        normal = np.linalg.inv(matrix.T @ matrix + ridge) @ matrix.T
        slope = normal @ values
        left = float(((values - matrix @ slope) ** 2).sum() / ((values - values.mean()) ** 2).sum())
        freedom = float(np.trace(matrix @ normal))
        explains = float(np.clip(1.0 - left * (len(kept) - 1) / max(len(kept) - freedom, 1.0), 0.0, 1.0))
        parts = []
        start = 1
        for name, group in groups.items():
            part = matrix[:, start : start + len(group)] @ slope[start : start + len(group)]
            effect = float(slope[start]) if len(group) == 1 else float(-part.std())
            parts.append((name, float(part.var()), effect))
            start += len(group)
        total = max(sum(variance for _, variance, _ in parts), 1e-12)
        found = [Driver(outcome, name, explains * variance / total, effect) for name, variance, effect in parts]
        return sorted(found, key=lambda d: -d.share)


def _sentences(
    chances: list[tuple[str, float]], drivers: list[Driver], kept: int, impossible: int, seed: int
) -> tuple[str, ...]:
    value = dict(chances)
    found = [
        f"In {kept} runs with probe strength, tissue, perfusion, placement, registration and the nerve's course drawn at "
        f"random (seed {seed}), the nerve was treated in {100 * value['treated']:.0f} %, every neighbor stayed within its "
        f"limit and the nerve within its own limit of cold in {100 * value['safe']:.0f} %, and both held in "
        f"{100 * value['treated and safe']:.0f} %."
    ]
    if impossible:
        found.append(f"{impossible} more draws put probes through each other and count as failures.")
    for outcome in dict.fromkeys(d.outcome for d in drivers):
        own = [d for d in drivers if d.outcome == outcome]
        words = [f"{d.input} ({100 * d.share:.0f} % of the variation)" for d in own[:2] if d.share >= 0.05]
        if words:
            found.append(f"The {outcome} depends most on {' and on '.join(words)}.")
    return tuple(found)
