"""What speaks against the procedure, from what a person has said: worst first."""

from __future__ import annotations

from ..knowledge import anesthetics, checklist, constant
from ..knowledge import nerve as nerve_record
from ..model import Check, Finding, Status

_ORDER = (Status.STOP, Status.UNKNOWN, Status.WARNING, Status.OK)


def check_findings(check: Check, target_id: str) -> tuple[Finding, ...]:
    """Findings on block, contraindications, bleeding and local anesthetic for a target; what nobody answered is unknown.

    Nerves in front of the spine, in the pelvis and beside the neuraxis count as high risk of bleeding; those that lie on the
    surface as low (usual practice, medium confidence).

    Raises:
        KnowledgeError: no such target.
    """
    found = [_block(check), *_questions(check, target_id), *_bleeding(check, target_id), *_anesthetic(check)]
    return tuple(sorted(found, key=lambda f: _ORDER.index(f.status)))


def high_risk(target_id: str) -> bool:
    """Whether a puncture to the target counts as one with a high risk of bleeding."""
    record = nerve_record(target_id)
    return record.pose == "within" or any(n.structure in ("aorta", "spinal_canal") for n in record.neighbors)


def _finding(
    name: str, subject: str, status: Status, sentence: str, value: float | None = None, unit: str = ""
) -> Finding:
    return Finding(f"check.{name}", subject, name, unit, value, None, None, None, None, None, status, sentence)


def _block(check: Check) -> Finding:
    wanted = constant("block_positive_percent")
    relief = None if check.block is None else check.block.relief_percent
    if relief is None:
        return _finding(
            "block", "diagnostic block", Status.UNKNOWN, "Diagnostic block: no pain scores before and after it."
        )
    positive = relief >= wanted
    text = f"Diagnostic block: {relief:.0f} % less pain, {'positive' if positive else 'not positive'} ({wanted:g} % wanted)."
    return _finding("block", "diagnostic block", Status.OK if positive else Status.STOP, text, relief, "%")


def _questions(check: Check, target_id: str) -> list[Finding]:
    answers = dict(check.answers)
    found = []
    for question in checklist():
        # The block's own scores answer this one; a nerve without motor fibers needs no talk about strength.
        if question.id == "block_negative" and check.block is not None and check.block.relief_percent is not None:
            continue
        if question.id == "motor_consent" and nerve_record(target_id).motor_risk == 0:
            continue
        answer = answers.get(question.id)
        if answer is None:
            status, word = Status.UNKNOWN, "not answered"
        elif not answer:
            status, word = Status.OK, "no"
        else:
            status, word = (Status.STOP if question.when_yes == "stop" else Status.WARNING), "yes"
        found.append(_finding(question.id, question.id.replace("_", " "), status, f"{question.text}: {word}."))
    return found


def _bleeding(check: Check, target_id: str) -> list[Finding]:
    risk = "high" if high_risk(target_id) else "low"
    most, least = constant(f"inr_{risk}_risk"), constant(f"platelets_{risk}_risk_giga_l")
    rows = (
        ("inr", "INR", check.inr, f"{most:g} or less", check.inr is not None and check.inr > most, ""),
        (
            "platelets",
            "Platelets",
            check.platelets_giga_l,
            f"{least:g} or more",
            check.platelets_giga_l is not None and check.platelets_giga_l < least,
            "10^9/L",
        ),
    )
    found = []
    for name, word, value, wanted, crossed, unit in rows:
        if value is None:
            # Before a puncture of low risk nobody needs to measure them.
            status = Status.UNKNOWN if risk == "high" else Status.OK
            text = f"{word}: not known; {risk} risk of bleeding, {wanted} {unit}".rstrip()
        else:
            status = Status.STOP if crossed else Status.OK
            text = f"{word} {value:g} {unit}".rstrip() + f"; {risk} risk of bleeding, {wanted} wanted"
        found.append(_finding(name, word, status, f"{text}.", value, unit))
    return found


def _anesthetic(check: Check) -> list[Finding]:
    dose = check.anesthetic_mg
    if not check.anesthetic and dose is None:
        return []
    record = next((a for a in anesthetics() if a.id == check.anesthetic), None)
    if record is None or dose is None or check.weight_kg is None:
        text = "Local anesthetic: drug, concentration, volume and body weight are needed to reckon its dose."
        return [_finding("anesthetic", "local anesthetic", Status.UNKNOWN, text)]
    most = min(record.most_mg, record.most_mg_per_kg * check.weight_kg)
    status = Status.STOP if dose > most else Status.OK
    text = f"{record.name}: {dose:.0f} mg, at most {most:.0f} mg at {check.weight_kg:g} kg."
    return [_finding("anesthetic", "local anesthetic", status, text, dose, "mg")]
