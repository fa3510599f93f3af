"""The nerve targets: what they supply, what lies around them, how they are reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ..model import KnowledgeError, Limits
from .catalog import limits
from .records import CONFIDENCES, find_record, load_records

COMPOSITIONS = ("sensory", "motor", "mixed", "autonomic", "autonomic_sensory")
ENTRY_SIDES = ("posterior", "anterior", "lateral", "posterolateral", "anterolateral", "any")
NEIGHBOR_ROLES = ("avoid", "pass", "heat_sink")


@dataclass(frozen=True)
class NeighborRecord:
    """A structure near the target; must_know blocks a clear verdict while it is not segmented."""

    structure: str
    role: str
    must_know: bool
    note: str

    def __post_init__(self) -> None:
        if self.role not in NEIGHBOR_ROLES:
            raise KnowledgeError(f"Neighbor {self.structure}: role must be one of {', '.join(NEIGHBOR_ROLES)}.")


CLAIMS = (
    "composition",
    "roots",
    "territory",
    "indications_pain",
    "indications_other",
    "diameter_mm",
    "landmark",
    "approach",
    "placement",
    "neighbors",
    "motor_risk",
    "treated_length",
    "default_probe",
    "default_protocol",
    "regrowth_distance_mm",
    "recovery_months",
    "codes",
)
"""Fields of a record that state something about the patient or the practice; a block carries its own."""
_ALWAYS_SAID = ("motor_risk", "treated_length")


@dataclass(frozen=True)
class Claim:
    """How sure one field of a record is, and where it comes from."""

    confidence: str
    source: str

    def __post_init__(self) -> None:
        if self.confidence not in CONFIDENCES or len(self.source) < 5:
            raise KnowledgeError(f"A claim needs a source and a confidence of {', '.join(CONFIDENCES)}: {self}.")


@dataclass(frozen=True)
class NerveRecord:
    """One nerve target of nerves.json; text fields are for the reader, the others drive planning and assessment.

    Attributes:
        regrowth_distance_mm: from the frozen place to what the nerve supplies, where it is known.
        recovery_months: how long series report the effect to last, where they do.
        claims: confidence and source field by field, by the names of CLAIMS and "block".
    """

    id: str
    name: str
    aliases: tuple[str, ...]
    region: str
    laterality: str
    composition: str
    composition_note: str
    territory: str
    roots: str
    indications_pain: tuple[str, ...]
    indications_other: tuple[str, ...]
    diameter_mm: tuple[float, float] | None
    landmark: str
    positions: tuple[str, ...]
    entry_side: str
    approach_note: str
    pose: str
    pose_note: str
    neighbors: tuple[NeighborRecord, ...]
    neighbors_unseen: tuple[str, ...]
    motor_risk: int
    function_lost: str
    block: Mapping[str, Any] | None
    minimum_treated_length_mm: float
    desired_treated_length_mm: float
    default_probe: str
    default_protocol: str
    regrowth_distance_mm: tuple[float, float] | None
    recovery_months: tuple[float, float] | None
    codes: tuple[Mapping[str, str], ...]
    claims: Mapping[str, Claim]
    source: str
    confidence: str
    verified: bool

    def __post_init__(self) -> None:
        if self.composition not in COMPOSITIONS:
            raise KnowledgeError(f"Nerve {self.id}: composition '{self.composition}' is not one of {COMPOSITIONS}.")
        if self.entry_side not in ENTRY_SIDES:
            raise KnowledgeError(f"Nerve {self.id}: entry side '{self.entry_side}' is not one of {ENTRY_SIDES}.")
        if self.pose not in ("beside", "within"):
            raise KnowledgeError(f"Nerve {self.id}: the pose must be beside or within, not '{self.pose}'.")
        if self.motor_risk not in (0, 1, 2, 3):
            raise KnowledgeError(f"Nerve {self.id}: motor risk must be 0 to 3, but is {self.motor_risk}.")
        if self.laterality not in ("paired", "midline"):
            raise KnowledgeError(f"Nerve {self.id}: laterality must be paired or midline.")
        if self.diameter_mm is not None and not 0 < self.diameter_mm[0] <= self.diameter_mm[1]:
            raise KnowledgeError(f"Nerve {self.id}: the diameter range {self.diameter_mm} mm is not a range.")

    @property
    def must_know(self) -> tuple[str, ...]:
        """Groups that must be segmented before a path may be called clear."""
        return tuple(n.structure for n in self.neighbors if n.must_know)

    @property
    def passable(self) -> frozenset[str]:
        """Groups that a path may cross."""
        return frozenset(n.structure for n in self.neighbors if n.role == "pass")


def _range(value: Mapping[str, float] | None) -> tuple[float, float] | None:
    return None if value is None else (float(value["low"]), float(value["high"]))


def _claims(r: Mapping[str, Any]) -> dict[str, Claim]:
    """Confidence and source of every field that says something; those of the block stand in it."""
    said = {name for name in CLAIMS if name in _ALWAYS_SAID or r[name] not in (None, [], "")}
    if said != set(r["claims"]):
        raise KnowledgeError(f"Nerve {r['id']}: confidence and source differ in {sorted(said ^ set(r['claims']))}.")
    claims = {name: Claim(c["confidence"], c["source"]) for name, c in r["claims"].items()}
    if r["block"] is not None:
        claims["block"] = Claim(r["block"]["confidence"], r["block"]["source"])
    return claims


def _nerve(r: Mapping[str, Any]) -> NerveRecord:
    approach = r["approach"]
    return NerveRecord(
        id=r["id"],
        name=r["name"],
        aliases=tuple(r["aliases"]),
        region=r["region"],
        laterality=r["laterality"],
        composition=r["composition"],
        composition_note=r["composition_note"],
        territory=r["territory"],
        roots=r["roots"],
        indications_pain=tuple(r["indications_pain"]),
        indications_other=tuple(r["indications_other"]),
        diameter_mm=_range(r["diameter_mm"]),
        landmark=r["landmark"],
        positions=tuple(approach["positions"]),
        entry_side=approach["entry_side"],
        approach_note=approach["note"],
        pose=r["placement"]["pose"],
        pose_note=r["placement"]["note"],
        neighbors=tuple(NeighborRecord(n["structure"], n["role"], n["must_know"], n["note"]) for n in r["neighbors"]),
        neighbors_unseen=tuple(r["neighbors_unseen"]),
        motor_risk=r["motor_risk"],
        function_lost=r["function_lost"],
        block=r["block"],
        minimum_treated_length_mm=float(r["minimum_treated_length_mm"]),
        desired_treated_length_mm=float(r["desired_treated_length_mm"]),
        default_probe=r["default_probe"],
        default_protocol=r["default_protocol"],
        regrowth_distance_mm=_range(r["regrowth_distance_mm"]),
        recovery_months=_range(r["recovery_months"]),
        codes=tuple(r["codes"]),
        claims=_claims(r),
        source=r["source"],
        confidence=r["confidence"],
        verified=r["verified"],
    )


@cache
def nerves() -> tuple[NerveRecord, ...]:
    """Every nerve target, in the order of the file."""
    return tuple(_nerve(record) for record in load_records("nerves"))


@cache
def nerve(name: str) -> NerveRecord:
    """The target of that id, name or alias.

    Raises:
        KnowledgeError: there is none; the message offers the nearest.
    """
    return _nerve(find_record("nerve target", name, load_records("nerves")))


def code_set_text() -> str:
    """Which set of codes the suggested ones were taken from, and of when: "CPT as of 2026-04"."""
    record = find_record("code set", "cpt", load_records("code_sets"))
    return f"{record['name']} as of {record['as_of']}"


def limits_for(record: NerveRecord) -> Limits:
    """The default limits with the treated length that this nerve needs."""
    items = tuple(
        replace(item, stop=record.minimum_treated_length_mm, warning=record.desired_treated_length_mm)
        if item.id == "nerve.treated_length"
        else item
        for item in limits().items
    )
    return Limits(items)
