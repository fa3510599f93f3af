"""What a target needs to be known around it."""

from __future__ import annotations

from dataclasses import replace

from ..knowledge import nerve
from ..model import Anatomy, Nerve


def for_target(anatomy: Anatomy, course: Nerve, cleared: tuple[str, ...] = ()) -> Anatomy:
    """The anatomy with this nerve, and with the groups that its record needs and nobody has segmented.

    Args:
        cleared: groups that a person has said are not in the field; they are no longer unknown.
    """
    record = nerve(course.target_id)
    cleared = tuple(sorted({*anatomy.cleared, *cleared}))
    unknown = tuple(g for g in record.must_know if not anatomy.has_group(g) and g not in cleared)
    return replace(anatomy, nerves=(course,), unknown=unknown, cleared=cleared)
