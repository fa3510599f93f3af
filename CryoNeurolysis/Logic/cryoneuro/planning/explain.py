"""Why this path, and why not the others, in sentences."""

from __future__ import annotations

import numpy as np

from ..knowledge import NerveRecord
from ..model import CandidateSet, Clearance

_WORDS = {
    "path.length": ("the path is too long for the probe", "mm", "the usable length"),
    "path.skin_angle": ("the path is too oblique to the skin", "degrees", "the angle to the skin"),
    "path.tilt": ("the path leaves the axial plane too steeply", "degrees", "the tilt"),
    "path.entry_zone": ("the skin is not on the usual side", "degrees", "the entry zone"),
    "path.table": ("the path comes from the table's side", "degrees", "the angle to the table's side"),
    "path.arms": ("an arm beside the trunk is in the way", "mm", "the distance to the arm"),
    "path.bore": ("the probe's rear end would touch the gantry bore", "mm", "the space to the bore"),
    "clearance.target_nerve": (
        "the shaft comes too close to the nerve itself",
        "mm",
        "the distance to the nerve",
    ),
}


def limit_words(limit_id: str) -> tuple[str, str, str]:
    """A limit as words, its unit, and its own name."""
    if limit_id in _WORDS:
        return _WORDS[limit_id]
    structure = limit_id.removeprefix("clearance.").replace("_", " ")
    return f"too close to {structure}", "mm", f"the clearance to {structure}"


def shares(found: CandidateSet) -> list[tuple[str, float]]:
    """Limits and the share of all paths that each rejects, most first."""
    if not len(found):
        return []
    rejected = (found.slack < 0).mean(axis=0)
    order = np.argsort(-rejected, kind="stable")
    return [(found.limit_ids[n], float(rejected[n])) for n in order if rejected[n] > 0]


def tightest_words(clearances: tuple[Clearance, ...]) -> tuple[str, ...]:
    """Where a path comes nearest to a limit, in a sentence; none where nothing is known.

    Args:
        clearances: worst first.
    """
    for worst in clearances:
        if not worst.unknown:
            return (
                f"The tightest place is {worst.structure.replace('_', ' ')}: {worst.clearance_mm:.1f} mm clear, "
                f"{worst.slack_mm:.1f} mm more than the limit.",
            )
    return ()


def explain_choice(
    found: CandidateSet, rank: int, clearances: tuple[Clearance, ...], record: NerveRecord
) -> tuple[str, ...]:
    """Sentences about the chosen path and the rejected ones."""
    text = [
        f"{len(found)} paths were tried and {len(found.order)} hold every limit; this is number {rank + 1} of them."
    ]
    top = [f"{limit_words(name)[0]} ({100 * share:.0f} %)" for name, share in shares(found)[:3]]
    if top:
        text.append("Paths were rejected most often because: " + "; ".join(top) + ".")
    text += tightest_words(clearances)
    if any(c.unknown for c in clearances):
        names = ", ".join(c.structure.replace("_", " ") for c in clearances if c.unknown)
        text.append(f"Not segmented, therefore unknown and not safe: {names}.")
    unseen = ", ".join(record.neighbors_unseen)
    if unseen:
        text.append(f"CT does not show these neighbors, look for them yourself: {unseen}.")
    return tuple(text)


def explain_failure(found: CandidateSet) -> str:
    """One sentence: no path, which limits reject most, and the smallest change that would let one pass."""
    if not len(found):
        return "No path could be tried."
    worst = found.slack.min(axis=1)
    best = int(np.argmax(worst))
    blocking = [
        f"{limit_words(found.limit_ids[n])[0]} by {-found.slack[best, n]:.1f} {limit_words(found.limit_ids[n])[1]}"
        for n in np.flatnonzero(found.slack[best] < 0)
    ]
    top = ", ".join(f"{limit_words(name)[0]} ({100 * share:.0f} %)" for name, share in shares(found)[:3])
    nearest = " and ".join(blocking) if blocking else "it passes the sweep"
    return (
        f"No path holds every limit ({len(found)} tried; rejected because: {top}). {_contradiction(found)}"
        f"The nearest miss: {nearest}. Relax what stands in the way, move the target, or choose another probe."
    )


def _contradiction(found: CandidateSet) -> str:
    """A sentence where no path at all holds one limit, or where no path holds two of them together; else empty."""
    holds = found.slack >= 0.0
    count = holds.sum(axis=0)
    never = np.flatnonzero(count == 0)
    if len(never):
        said = []
        for n in never:
            _, unit, name = limit_words(found.limit_ids[n])
            said.append(f"{name} (the nearest misses by {-found.slack[:, n].max():.1f} {unit})")
        return f"No path at all holds {' or '.join(said)}. "
    together = holds.astype(np.float32).T @ holds.astype(np.float32)
    pairs = [(min(count[a], count[b]), a, b) for a, b in zip(*np.nonzero(np.triu(together == 0)), strict=True)]
    if not pairs:
        return ""
    _, one, other = max(pairs)
    return (
        f"The limits of {limit_words(found.limit_ids[one])[2]} and {limit_words(found.limit_ids[other])[2]} contradict each "
        f"other here: {count[one]} paths hold the one, {count[other]} the other, none both. "
    )
