"""Writes docs/nerves.md from Resources/Data/nerves.json, so that a clinician can review the knowledge line by line.

Usage: python scripts/write_nerve_page.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryoneuro.knowledge import NerveRecord, code_set_text, nerves

PAGE = Path(__file__).resolve().parents[1] / "docs" / "nerves.md"
RISK = ("none: sensory or autonomic", "minor", "clinically relevant", "disabling")
HEAD = """# Nerve targets, for review

Made from `CryoNeurolysis/Resources/Data/nerves.json` by `python scripts/write_nerve_page.py`; change the data, not this page.
What is not verified comes from memory or from a source that was not read in full. To review: take a target, read it line by
line, correct the data, name the source, and set `verified`. *Must be known* means that no path is called clear while that
structure is not segmented. Codes are suggestions to a coder, never advice.

| target | region | composition | motor risk | block | confidence | verified |
|---|---|---|---|---|---|---|
"""


def _range(values: tuple[float, float] | None, unit: str) -> str:
    if values is None:
        return "not known"
    low, high = values
    return f"{low:g} {unit}" if low == high else f"{low:g} to {high:g} {unit}"


def _words(text: str) -> str:
    return text.replace("_", " ")


def _cell(text: str) -> str:
    return text.replace("|", "/")


def _claim(nerve: NerveRecord, field: str) -> str:
    claim = nerve.claims.get(field)
    return "" if claim is None else f"{claim.confidence}: {_cell(claim.source)}"


def section(nerve: NerveRecord) -> str:
    """One target."""
    known = [f"{_words(n.structure)}{' (' + n.note + ')' if n.note else ''}" for n in nerve.neighbors if n.must_know]
    passed = [_words(n.structure) for n in nerve.neighbors if n.role == "pass"]
    sinks = [_words(n.structure) for n in nerve.neighbors if n.role == "heat_sink"]
    others = [
        f"{_words(n.structure)}{' (' + n.note + ')' if n.note else ''}"
        for n in nerve.neighbors
        if not n.must_know and n.role == "avoid"
    ]
    block = "none recorded"
    if nerve.block is not None:
        volume = nerve.block.get("volume_ml")
        amount = _range((float(volume["low"]), float(volume["high"])), "mL") if volume else "volume not known"
        spread = nerve.block["spread"]
        block = f"{nerve.block['agent_class']}, {amount}; look for: {spread}"
    rows = [
        (
            "Composition",
            f"{_words(nerve.composition)}{'; ' + nerve.composition_note if nerve.composition_note else ''}",
            "composition",
        ),
        ("Roots", nerve.roots, "roots"),
        ("Territory", nerve.territory, "territory"),
        ("Indications, pain", "; ".join(nerve.indications_pain) or "none", "indications_pain"),
        ("Indications, other", "; ".join(nerve.indications_other) or "none", "indications_other"),
        ("Diameter", _range(nerve.diameter_mm, "mm"), "diameter_mm"),
        ("Landmark on CT", nerve.landmark, "landmark"),
        (
            "Position, entry",
            f"{', '.join(nerve.positions)}; {nerve.entry_side}. {nerve.approach_note}".strip(),
            "approach",
        ),
        ("Probe", f"{nerve.pose} the nerve. {nerve.pose_note}".strip(), "placement"),
        ("Must be known", "; ".join(known) or "nothing", "neighbors"),
        ("Also kept away from", "; ".join(others) or "nothing", "neighbors"),
        ("May be passed", "; ".join(passed) or "nothing", "neighbors"),
        ("Heat sinks", "; ".join(sinks) or "none", "neighbors"),
        ("Not seen on CT", "; ".join(nerve.neighbors_unseen) or "nothing named", "neighbors"),
        ("Motor risk", f"{nerve.motor_risk} ({RISK[nerve.motor_risk]}). {nerve.function_lost}".strip(), "motor_risk"),
        ("Diagnostic block", block, "block"),
        (
            "Treated length",
            f"at least {nerve.minimum_treated_length_mm:g} mm, wanted {nerve.desired_treated_length_mm:g} mm",
            "treated_length",
        ),
        ("Default probe", f"`{nerve.default_probe}`", "default_probe"),
        ("Default protocol", f"`{nerve.default_protocol}`", "default_protocol"),
        ("Regrowth distance", _range(nerve.regrowth_distance_mm, "mm"), "regrowth_distance_mm"),
        ("Effect reported to last", _range(nerve.recovery_months, "months"), "recovery_months"),
        (
            f"Codes ({code_set_text()})",
            "; ".join(f"{c['code']}: {c['note']}" for c in nerve.codes) or "none recorded",
            "codes",
        ),
    ]
    body = "\n".join(f"| {name} | {_cell(text)} | {_claim(nerve, field)} | [ ] |" for name, text, field in rows)
    state = "verified" if nerve.verified else "not verified"
    title = f"\n### {nerve.name}\n\n`{nerve.id}`, {nerve.laterality}, {nerve.confidence} confidence, {state}\n"
    return (
        f"{title}\n| | | confidence, source | read |\n|---|---|---|---|\n{body}\n\nRead for all of it: {nerve.source}\n"
    )


def page() -> str:
    """The whole page."""
    rows = []
    for n in nerves():
        anchor = "".join(c for c in n.name.lower().replace(" ", "-") if c.isalnum() or c in "-_")
        has_block, verified = ("yes" if flag else "no" for flag in (n.block is not None, n.verified))
        rows.append(
            f"| [{n.name}](#{anchor}) | {_words(n.region)} | {_words(n.composition)} | {n.motor_risk} | {has_block} "
            f"| {n.confidence} | {verified} |"
        )
    regions = list(dict.fromkeys(n.region for n in nerves()))
    parts = [HEAD + "\n".join(rows) + "\n"]
    for region in regions:
        parts.append(f"\n## {_words(region).capitalize()}\n")
        parts += [section(n) for n in nerves() if n.region == region]
    return "".join(parts)


def main() -> int:
    """Write the page, or say whether it is as the data are."""
    text = page()
    if "--check" in sys.argv:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text
        if not same:
            print("docs/nerves.md is not as the data are; run: python scripts/write_nerve_page.py", file=sys.stderr)
        return 0 if same else 1
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
