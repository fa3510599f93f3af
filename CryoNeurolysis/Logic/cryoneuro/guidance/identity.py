"""Whether a live scan may be laid under a plan at all: the same patient, study, frame of reference and position."""

from __future__ import annotations

from collections.abc import Collection

from ..model import Acquisition, CtVolume, IdentityQuestion

_FACTS = (
    ("patient", "patient_key", "belongs to another patient"),
    ("study", "study_uid", "belongs to another study"),
    (
        "frame",
        "frame_of_reference_uid",
        "counts from another frame of reference (the patient was moved or registered anew)",
    ),
    ("position", "patient_position", "was made in another patient position"),
)


def identity_questions(
    plan_ct: CtVolume, live_ct: CtVolume, accepted: Collection[str] = ()
) -> tuple[IdentityQuestion, ...]:
    """What a person must answer before the scan is overlaid; empty when nothing is open.

    Args:
        accepted: keys of questions that a person has answered with yes, for the same pair.
    """
    found = []
    for what, field, differs_words in _FACTS:
        planned, live = (_said(ct.acquisition, field) for ct in (plan_ct, live_ct))
        if planned and planned == live:
            continue
        key = f"{what}:{planned or '-'}:{live or '-'}"
        if key in accepted:
            continue
        if planned and live:
            shown = f" ({live} instead of {planned})" if what == "position" else ""
            sentence = f"The live scan {differs_words} than the planning CT{shown}. Is it the right one all the same?"
            found.append(IdentityQuestion(what, True, key, sentence))
        else:
            silent = "live scan" if planned else "planning CT"
            who = f"The {silent} does not say" if planned or live else "Neither scan says"
            sentence = f"{who} its {_NAMES[what]}. Is it the same in both?"
            found.append(IdentityQuestion(what, False, key, sentence))
    return tuple(found)


_NAMES = {
    "patient": "patient",
    "study": "study",
    "frame": "frame of reference",
    "position": "patient position",
}


def same_frame(plan_ct: CtVolume, live_ct: CtVolume) -> bool:
    """Whether both scans say that they count from the same point."""
    planned = plan_ct.acquisition.frame_of_reference_uid
    return bool(planned) and planned == live_ct.acquisition.frame_of_reference_uid


def _said(acquisition: Acquisition, field: str) -> str:
    return str(getattr(acquisition, field)).strip()
