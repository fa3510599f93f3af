"""A nerve target on one small page: what it does, how it is reached, what is lost."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from ..knowledge import NerveRecord

_RISK = ("none: sensory or autonomic", "minor", "clinically relevant", "disabling")


def nerve_card(record: NerveRecord) -> str:
    """The card as HTML of the simple kind that a text widget shows; every line with its confidence."""
    page = ET.Element("div")
    ET.SubElement(page, "h3").text = record.name
    must = ", ".join(n.structure.replace("_", " ") for n in record.neighbors if n.must_know)
    rows = (
        ("Supplies", record.territory, "territory"),
        ("Composition", record.composition.replace("_", " "), "composition"),
        ("Treated for", "; ".join((*record.indications_pain, *record.indications_other)), "indications_pain"),
        (
            "If it is lost",
            f"{record.function_lost or 'nothing known'} Motor risk: {_RISK[record.motor_risk]}.",
            "function_lost",
        ),
        ("Approach", f"{', '.join(record.positions)}; {record.entry_side}. {record.approach_note}", "approach"),
        ("Landmark on CT", record.landmark, "landmark"),
        ("Must be known", must or "nothing", "neighbors"),
        ("CT does not show", ", ".join(record.neighbors_unseen), "neighbors_unseen"),
    )
    for name, text, field in rows:
        if not text.strip():
            continue
        line = ET.SubElement(page, "p")
        ET.SubElement(line, "b").text = f"{name}: "
        claim = record.claims.get(field)
        body = ET.SubElement(line, "span")
        body.text = text.strip() + ("" if claim is None else f" ({claim.confidence} confidence)")
    if not record.verified:
        ET.SubElement(page, "p").text = "Not verified: review it before use."
    return ET.tostring(page, encoding="unicode", method="html")
