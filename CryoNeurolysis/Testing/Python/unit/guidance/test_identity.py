"""Nothing is overlaid without a yes where patient, study, frame or position are not known to be the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryoneuro.guidance import identity_questions, same_frame
from cryoneuro.imaging import Phantom
from cryoneuro.model import Acquisition

SAID = Acquisition("CT", "HFS", study_uid="1.2", frame_of_reference_uid="1.3", patient_key="abc")


def test_all_the_same_asks_nothing(phantom: Phantom) -> None:
    ct = replace(phantom.ct, acquisition=SAID)
    assert identity_questions(ct, ct) == () and same_frame(ct, ct)


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("patient_key", "patient"),
        ("study_uid", "study"),
        ("frame_of_reference_uid", "frame"),
        ("patient_position", "position"),
    ],
)
def test_each_difference_and_each_silence_is_a_question_of_its_own(phantom: Phantom, field: str, what: str) -> None:
    plan = replace(phantom.ct, acquisition=SAID)
    for value, differs in (("other", True), ("", False)):
        live = replace(phantom.ct, acquisition=replace(SAID, **{field: value}))
        (question,) = identity_questions(plan, live)
        assert question.what == what and question.differs is differs and question.sentence.endswith("?")
        assert identity_questions(plan, live, {question.key}) == ()
        # The answer is for this pair only.
        third = replace(phantom.ct, acquisition=replace(SAID, **{field: "third"}))
        assert [q.what for q in identity_questions(plan, third, {question.key})] == [what]


def test_two_silent_scans_are_not_taken_for_the_same(phantom: Phantom) -> None:
    silent = replace(phantom.ct, acquisition=Acquisition())
    assert {q.what for q in identity_questions(silent, silent)} == {"patient", "study", "frame", "position"}
    assert not same_frame(silent, silent)
