"""How often the nerve gets its dose when probe and nerve do not lie where they are planned, read off one run."""

from __future__ import annotations

import numpy as np

from ..knowledge import constant
from ..model import Plan, ThermalRun
from .nerve_dose import nerve_dose

DRAWS = 256


def dose_chance(run: ThermalRun, plan: Plan, draws: int = DRAWS, seed: int = 0) -> float:
    """Share of draws, 0 to 1, in which the nerve is treated over the length that is needed at least.

    The cold is moved against the nerve as a whole by the error of placement, breathing and the nerve's own doubt; the ice does
    not change its shape, tissue and probe strength are as planned. The sample of frozen runs varies those too and is what counts
    for the plan that is taken; this tells finalists apart.

    Args:
        run: of the plan, a preview will do.
        seed: of the draws; the same seed gives the same share.
    """
    random = np.random.default_rng(seed)
    along = plan.probes[0].trajectory.direction_ras
    lateral, deep = constant("targeting_error_sigma_mm"), constant("depth_error_sigma_mm")
    error = random.normal(size=(draws, 3))
    deepness = error @ along
    shift = lateral * (error - deepness[:, None] * along) + deep * deepness[:, None] * along
    shift += random.normal(size=(draws, 3)) * constant("registration_sigma_mm")
    shift += random.normal(size=(draws, 3)) * plan.nerve.sigma_mm
    treat, length = plan.limits["nerve.coldest"], plan.limits["nerve.treated_length"]
    treated = [nerve_dose(run, plan.nerve, s, treat.stop).treated_length_mm(treat.stop) >= length.stop for s in shift]
    return float(np.mean(treated))
