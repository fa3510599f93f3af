"""Every record of Resources/Data is read and checked; names are found or the nearest is offered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryoneuro import knowledge
from cryoneuro.knowledge import load_records, records
from cryoneuro.model import KnowledgeError

FILES = [
    "nerves",
    "probes",
    "injury_classes",
    "protections",
    "protocols",
    "tissues",
    "limits",
    "colors",
    "constants",
    "label_groups",
    "label_ids",
    "code_sets",
    "needles",
    "checklist",
    "anesthetics",
    "sample_cts",
]


def test_every_data_file_is_known_here() -> None:
    assert sorted(FILES) == sorted(p.stem for p in knowledge.data_folder().glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_every_record_carries_source_confidence_verified(name: str) -> None:
    for record in load_records(name):
        assert record["source"].strip() and record["confidence"] in ("high", "medium", "low")
        assert isinstance(record["verified"], bool)


def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: dict[str, object]) -> None:
    (tmp_path / "bad.json").write_text(json.dumps({"schema": "cryoneuro-bad/1", "records": [record]}))
    monkeypatch.setattr(records, "data_folder", lambda: tmp_path)
    records.load_records.cache_clear()


@pytest.mark.parametrize("missing", ["id", "source", "confidence", "verified"])
def test_a_record_without_its_source_is_refused(tmp_path, monkeypatch, missing) -> None:
    record = {"id": "x", "source": "somewhere", "confidence": "high", "verified": False}
    record.pop(missing)
    broken(tmp_path, monkeypatch, record)
    with pytest.raises(KnowledgeError):
        load_records("bad")
    records.load_records.cache_clear()


def test_all_39_targets_make_objects() -> None:
    found = knowledge.nerves()
    assert len(found) == 39
    assert len({n.id for n in found}) == 39
    probes = {p.id for p in knowledge.probes()}
    protocols = {p.id for p in knowledge.protocols()}
    for nerve in found:
        assert nerve.default_probe in probes and nerve.default_protocol in protocols
        assert 0 < nerve.minimum_treated_length_mm <= nerve.desired_treated_length_mm
        assert nerve.positions and nerve.landmark and nerve.territory


def test_structures_that_nerves_need_can_be_segmented_or_imported() -> None:
    groups = {r["group"] for r in load_records("label_groups")}
    for nerve in knowledge.nerves():
        for neighbor in nerve.neighbors:
            assert neighbor.structure in groups | {"skin"}, f"{nerve.id}: {neighbor.structure}"


@pytest.mark.parametrize(
    ("asked", "found"),
    [("celiac_plexus", "celiac_plexus"), ("Celiac Plexus", "celiac_plexus"), ("INTERCOSTAL", "intercostal")],
)
def test_names_are_found_without_regard_to_spelling(asked: str, found: str) -> None:
    assert knowledge.nerve(asked).id == found


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        (lambda: knowledge.nerve("celliac"), "celiac_plexus"),
        (lambda: knowledge.nerve("pudental"), "pudendal"),
        (lambda: knowledge.probe("icespere"), "argon_17g_long"),
        (lambda: knowledge.protocol("nerve_3_1_4"), "nerve_3_1_3"),
    ],
)
def test_the_nearest_name_is_offered(ask, wanted: str) -> None:
    with pytest.raises(KnowledgeError, match=wanted):
        ask()


def test_protocol_by_its_usual_name() -> None:
    protocol = knowledge.protocol("3-1-3")
    assert [s.duration_s for s in protocol.steps] == [180, 60, 180, 60]
    assert protocol.duration_s == 480


def test_tissues_match_the_published_table() -> None:
    """IT'IS v5.0: muscle 1090.4 kg/m3, 0.495 W/m/K; fat 0.211 W/m/K."""
    muscle, fat = knowledge.tissue("muscle"), knowledge.tissue("fat")
    assert muscle.density_kg_m3 == pytest.approx(1090.4) and muscle.conductivity_w_mk == pytest.approx(0.495, abs=1e-3)
    assert fat.conductivity_w_mk == pytest.approx(0.211, abs=1e-3)
    assert not knowledge.tissue("gas").conducts and muscle.conducts


def test_limits_are_ordered_from_warning_to_stop() -> None:
    for limit in knowledge.limits().items:
        assert limit.warning >= limit.stop if limit.at_least else limit.warning <= limit.stop, limit.id


def test_unknown_constant_is_an_error() -> None:
    with pytest.raises(KnowledgeError, match="no_such"):
        knowledge.constant("no_such")


def test_the_page_for_review_is_as_the_data_are(repository: Path) -> None:
    """Every target, every must-know neighbor and every source stands in docs/nerves.md, and it is made from these data."""
    script = repository / "scripts" / "write_nerve_page.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text = (repository / "docs" / "nerves.md").read_text(encoding="utf-8")
    for nerve in knowledge.nerves():
        assert f"### {nerve.name}" in text and nerve.source in text
        assert all(group.replace("_", " ") in text for group in nerve.must_know)


def test_every_claim_of_a_nerve_says_how_sure_it_is_and_where_from() -> None:
    for record in knowledge.nerves():
        assert {"composition", "landmark", "motor_risk", "treated_length"} <= set(record.claims)
        assert ("block" in record.claims) == (record.block is not None)
        assert ("codes" in record.claims) == bool(record.codes)
    sure = [claim.confidence for record in knowledge.nerves() for claim in record.claims.values()]
    assert {"high", "medium", "low"} == set(sure)


def test_a_field_without_a_claim_is_refused() -> None:
    from cryoneuro.knowledge.nerves import _nerve

    record = dict(knowledge.load_records("nerves")[0])
    record["claims"] = {name: claim for name, claim in record["claims"].items() if name != "landmark"}
    with pytest.raises(KnowledgeError, match="landmark"):
        _nerve(record)


def test_no_two_probes_share_a_name() -> None:
    """A name, id or alias means one probe, without regard to case, spaces and dashes."""
    seen: dict[str, str] = {}
    for record in load_records("probes"):
        for text in {record["id"], record["name"], *record["aliases"]}:
            key = "".join(c for c in text.lower() if c.isalnum())
            assert seen.setdefault(key, record["id"]) == record["id"], (text, seen[key])
    assert knowledge.probe("icerod").active_length_mm > knowledge.probe("icesphere").active_length_mm


def test_a_sites_probe_counts_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its id, and by an alias that it shares with a probe of the library; of two of its own the first one."""
    library = next(r for r in load_records("probes") if r["id"] == "argon_17g_long")
    own = [
        dict(library, id="ours", name="Ours", aliases=["IceSphere"], tip_temperature_c=-120.0),
        dict(library, id="ours_too", name="Ours too", aliases=["icesphere"], tip_temperature_c=-110.0),
        dict(library, id="argon_14g", name="Our 14G", aliases=[], tip_temperature_c=-105.0),
    ]
    (tmp_path / "probes.json").write_text(json.dumps({"schema": "cryoneuro-probes/1", "records": own}))
    monkeypatch.setenv("CRYONEURO_SITE_DATA", str(tmp_path))
    caches = (records.site_records, knowledge.probes)
    for cached in caches:
        cached.cache_clear()
    try:
        assert knowledge.probe("icesphere").id == "ours"
        assert knowledge.probe("argon_14g").tip_temperature_c == -105.0
        assert [p.id for p in knowledge.probes()][:3] == ["ours", "ours_too", "argon_14g"]
        assert knowledge.probe("iceseed").id == "argon_17g_short"
    finally:
        monkeypatch.undo()
        for cached in caches:
            cached.cache_clear()
