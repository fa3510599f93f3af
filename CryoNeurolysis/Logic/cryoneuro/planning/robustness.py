"""How often a path still holds every limit when it is not placed exactly, the patient breathes, and the nerve lies elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..knowledge import constant
from ..knowledge import nerve as nerve_record
from ..model import Anatomy, Limits, Nerve, ProbeModel, Trajectory, across, never_cancelled, no_progress
from .candidates import Candidates
from .explain import limit_words
from .sweep import sweep

DRAWS = 512
_Z_95 = 1.96


@dataclass(frozen=True)
class Robustness:
    """Chance that every limit holds.

    Attributes:
        chance: share of the draws in which every limit holds, 0 to 1.
        low, high: 95 % interval of that share, from the number of draws (Wilson).
        lost: share of the draws in which a limit is broken, most first, limits never broken left out.
        draws, seed: how it was drawn.
    """

    chance: float
    low: float
    high: float
    lost: tuple[tuple[str, float], ...]
    draws: int
    seed: int

    @property
    def sentence(self) -> str:
        """The same in words."""
        text = (
            f"With the usual error of placement, breathing and the nerve's place, every limit of the path holds in "
            f"{100 * self.chance:.0f} % of {self.draws} draws (seed {self.seed}, "
            f"95 % interval {100 * self.low:.0f} to {100 * self.high:.0f} %)"
        )
        worst = ", ".join(f"{limit_words(name)[0]} ({100 * share:.0f} %)" for name, share in self.lost[:3])
        return f"{text}; lost most often: {worst}." if worst else f"{text}."


def robustness(
    anatomy: Anatomy,
    nerve: Nerve,
    probe: ProbeModel,
    limits: Limits,
    trajectory: Trajectory,
    draws: int = DRAWS,
    seed: int = 0,
) -> Robustness:
    """Draws paths around the planned one, as they come to lie in the patient, and holds each against every limit.

    The shaft errs to the sides and in depth as published for freehand CT punctures, as in the ensemble of frozen runs;
    breathing moves it against the patient along R, A and S; the nerve's own doubt moves it against the nerve only.

    Args:
        limits: those of the plan.
        draws: number of paths.
        seed: of the draws; the same seed gives the same chance.
    """
    record = nerve_record(nerve.target_id)
    random = np.random.default_rng(seed)
    along = trajectory.direction_ras
    frame = np.stack([*across(along), along])
    lateral, deep = constant("targeting_error_sigma_mm"), constant("depth_error_sigma_mm")
    shift = random.normal(size=(draws, 3)) * [lateral, lateral, deep] @ frame
    shift += random.normal(size=(draws, 3)) * constant("registration_sigma_mm")
    entry, tip = trajectory.entry_ras_mm + shift, trajectory.tip_ras_mm + shift
    normal = np.tile(-along, (draws, 1))
    paths = Candidates(entry, tip, normal, np.tile(along, (draws, 1)), np.zeros(draws))
    found = sweep(anatomy, nerve, record, probe, limits, paths, no_progress, never_cancelled)
    # A parallel shift leaves the angle to the skin and its side as they are.
    judged = [n for n, name in enumerate(found.limit_ids) if name not in ("path.skin_angle", "path.entry_zone")]
    slack = found.slack[:, judged].copy()
    names = [found.limit_ids[n] for n in judged]
    if "clearance.target_nerve" in names:
        column = names.index("clearance.target_nerve")
        slack[:, column] += random.normal(size=draws) * nerve.sigma_mm
    good = (slack >= 0.0).all(axis=1)
    broken = (slack < 0.0).mean(axis=0)
    order = np.argsort(-broken, kind="stable")
    lost = tuple((names[n], float(broken[n])) for n in order if broken[n] > 0)
    chance = float(good.mean())
    low, high = wilson_interval(chance, draws)
    return Robustness(chance, low, high, lost, draws, seed)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, J Am Stat Assoc 1927;22:209)."""
    z2 = _Z_95**2 / count
    middle = (share + 0.5 * z2) / (1.0 + z2)
    half = _Z_95 * np.sqrt(share * (1.0 - share) / count + 0.25 * z2 / count) / (1.0 + z2)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
