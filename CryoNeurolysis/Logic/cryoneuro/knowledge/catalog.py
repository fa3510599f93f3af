"""Probes, protocols, tissues, limits, colors and constants as objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from ..model import KnowledgeError, Limit, Limits, NeedleModel, ProbeModel, Protocol, ProtocolStep, StepKind
from .records import find_record, load_records, site_records

MOST_CONDUCTIVITY_W_MK = 10.0


@dataclass(frozen=True)
class TissueRecord:
    """Thermal properties of a tissue, SI units; volumetric heats in MJ/m3 as named.

    frozen_conductivity_w_mk and frozen_volumetric_heat_mj_m3k hold at the solidus; below it conductivity rises by
    frozen_conductivity_slope_w_mk2 and heat falls by the share frozen_heat_slope_per_k with every kelvin.
    path_burden is how little one wants a shaft to pass through it, 0 not at all to 1 (proposed).
    """

    id: str
    label: int
    name: str
    density_kg_m3: float
    specific_heat_j_kgk: float
    conductivity_w_mk: float
    perfusion_w_m3k: float
    metabolic_w_m3: float
    frozen_conductivity_w_mk: float
    frozen_volumetric_heat_mj_m3k: float
    latent_heat_mj_m3: float
    solidus_c: float
    liquidus_c: float
    perfusion_stops: bool
    perfusion_returns: bool
    conducts: bool
    typical_hu: int
    color: tuple[float, float, float]
    source: str
    confidence: str
    verified: bool
    frozen_conductivity_slope_w_mk2: float = 0.0
    frozen_heat_slope_per_k: float = 0.0
    path_burden: float = 0.5

    def __post_init__(self) -> None:
        positive = ("density_kg_m3", "specific_heat_j_kgk", "conductivity_w_mk", "frozen_conductivity_w_mk")
        for name in (*positive, "frozen_volumetric_heat_mj_m3k"):
            if not 0 < getattr(self, name) < float("inf"):
                raise KnowledgeError(f"Tissue {self.id}: {name} must be positive, but is {getattr(self, name)}.")
        for name in ("perfusion_w_m3k", "metabolic_w_m3", "latent_heat_mj_m3"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise KnowledgeError(f"Tissue {self.id}: {name} must be 0 or more, but is {getattr(self, name)}.")
        for name in ("conductivity_w_mk", "frozen_conductivity_w_mk"):
            if getattr(self, name) > MOST_CONDUCTIVITY_W_MK:
                raise KnowledgeError(
                    f"Tissue {self.id}: {name} is {getattr(self, name):g} W/m/K; no tissue conducts more than "
                    f"{MOST_CONDUCTIVITY_W_MK:g}. Check the unit."
                )
        if not 0 <= self.path_burden <= 1:
            raise KnowledgeError(f"Tissue {self.id}: path_burden must be 0 to 1, but is {self.path_burden}.")
        if not (0 <= self.frozen_conductivity_slope_w_mk2 < 0.1 and 0 <= self.frozen_heat_slope_per_k < 0.005):
            raise KnowledgeError(f"Tissue {self.id}: its slopes must be 0 to 0.1 W/m/K2 and 0 to 0.005 1/K.")
        if not self.solidus_c < self.liquidus_c <= 0:
            raise KnowledgeError(f"Tissue {self.id}: solidus must lie below liquidus, and liquidus at or below 0 C.")
        object.__setattr__(self, "color", tuple(self.color))


@dataclass(frozen=True)
class ProtectionRecord:
    """A kind of protective manoeuvre.

    Attributes:
        tissue: id of the tissue that takes the place of what was there; None when something is held warm instead.
        held: kept at its temperature from outside, over a surface with heat_transfer_w_m2k.
    """

    id: str
    name: str
    tissue: str | None
    held: bool
    temperature_c: float
    heat_transfer_w_m2k: float
    source: str
    confidence: str
    verified: bool


@dataclass(frozen=True)
class InjuryRecord:
    """A class of nerve injury: everything warmer than its bound that no milder class has."""

    id: str
    name: str
    warmer_than_c: float
    effect: str
    recovery: str
    source: str
    confidence: str
    verified: bool


@dataclass(frozen=True)
class QuestionRecord:
    """A question of the checklist; yes is a warning or a stop."""

    id: str
    text: str
    when_yes: str
    source: str
    confidence: str
    verified: bool

    def __post_init__(self) -> None:
        if self.when_yes not in ("warning", "stop"):
            raise KnowledgeError(f"Question {self.id}: when_yes must be warning or stop, but is {self.when_yes}.")


@dataclass(frozen=True)
class AnestheticRecord:
    """A local anesthetic and the most of it that one gives."""

    id: str
    name: str
    most_mg_per_kg: float
    most_mg: float
    source: str
    confidence: str
    verified: bool


@dataclass(frozen=True)
class ConstantRecord:
    """One number with its unit and source."""

    id: str
    value: float
    unit: str
    source: str
    confidence: str
    verified: bool


@cache
def tissues() -> tuple[TissueRecord, ...]:
    """Every tissue, in the order of its label."""
    names = {field.name for field in fields(TissueRecord)}
    found = tuple(TissueRecord(**{k: v for k, v in r.items() if k in names}) for r in load_records("tissues"))
    if [t.label for t in found] != list(range(len(found))):
        raise KnowledgeError("tissues.json: labels must count up from 0 without gaps.")
    return found


def tissue(tissue_id: str) -> TissueRecord:
    """The tissue of that id.

    Raises:
        KnowledgeError: there is none.
    """
    record = find_record("tissue", tissue_id, load_records("tissues"))
    return tissues()[int(record["label"])]


@cache
def injury_classes() -> tuple[InjuryRecord, ...]:
    """What cold does to a nerve, mildest first."""
    found = tuple(InjuryRecord(**r) for r in load_records("injury_classes"))
    bounds = [r.warmer_than_c for r in found]
    if bounds != sorted(bounds, reverse=True):
        raise KnowledgeError("injury_classes.json: the classes must go from warm to cold.")
    return found


@cache
def protections() -> tuple[ProtectionRecord, ...]:
    """Every kind of protective manoeuvre."""
    return tuple(ProtectionRecord(**r) for r in load_records("protections"))


def protection(name: str) -> ProtectionRecord:
    """The kind of manoeuvre of that id or name.

    Raises:
        KnowledgeError: there is none; the message offers the nearest.
    """
    return ProtectionRecord(**find_record("protection", name, load_records("protections")))


@cache
def _constants() -> dict[str, ConstantRecord]:
    return {r["id"]: ConstantRecord(**r) for r in load_records("constants")}


def constant(constant_id: str) -> float:
    """The value of a modeling constant.

    Raises:
        KnowledgeError: there is none of that id.
    """
    try:
        return float(_constants()[constant_id].value)
    except KeyError:
        raise KnowledgeError(f"constants.json has no '{constant_id}'.") from None


@cache
def limits() -> Limits:
    """The default limits."""
    names = {field.name for field in fields(Limit)}
    return Limits(tuple(Limit(**{k: v for k, v in r.items() if k in names}) for r in load_records("limits")))


@cache
def bore_radius_mm() -> float:
    """Radius of the gantry bore that path.bore assumes."""
    return float(next(r for r in load_records("limits") if r["id"] == "path.bore")["radius_mm"])


@cache
def color(color_id: str) -> tuple[float, float, float]:
    """RGB (0..1) for a structure group, isotherm or tool; gray when none is set."""
    table = {r["id"]: tuple(r["rgb"]) for r in load_records("colors")}
    return table.get(color_id, table["other"])


def _probe(record: object) -> ProbeModel:
    names = {field.name for field in fields(ProbeModel)}
    return ProbeModel(**{k: v for k, v in record.items() if k in names})  # type: ignore[attr-defined]


def _probe_records() -> tuple[Mapping[str, Any], ...]:
    """The library's probes and the site's own, which count first."""
    own = site_records("probes")
    taken = {r["id"] for r in own}
    return (*own, *(r for r in load_records("probes") if r["id"] not in taken))


@cache
def probes() -> tuple[ProbeModel, ...]:
    """Every probe of the library."""
    return tuple(_probe(record) for record in _probe_records())


def probe(name: str) -> ProbeModel:
    """The probe of that id, name or alias.

    Raises:
        KnowledgeError: there is none; the message offers the nearest.
    """
    return _probe(find_record("probe", name, _probe_records()))


@cache
def probe_total_mm(probe_id: str) -> float:
    """Tip to rear end of a probe of the library or of a needle, mm."""
    return float(find_record("probe", probe_id, (*_probe_records(), *load_records("needles")))["shaft_total_mm"])


@cache
def checklist() -> tuple[QuestionRecord, ...]:
    """What is asked before the procedure."""
    return tuple(QuestionRecord(**record) for record in load_records("checklist"))


@cache
def anesthetics() -> tuple[AnestheticRecord, ...]:
    """Every local anesthetic."""
    return tuple(AnestheticRecord(**record) for record in load_records("anesthetics"))


@cache
def needles() -> tuple[NeedleModel, ...]:
    """Every injection needle."""
    return tuple(NeedleModel(**record) for record in load_records("needles"))


def needle(name: str) -> NeedleModel:
    """The injection needle of that id or name.

    Raises:
        KnowledgeError: there is none; the message offers the nearest.
    """
    return NeedleModel(**find_record("needle", name, load_records("needles")))


def _protocol(record: object) -> Protocol:
    r: dict[str, object] = dict(record)  # type: ignore[call-overload]
    steps = tuple(
        ProtocolStep(
            StepKind(s["kind"]), float(s["duration_s"]), float(s.get("duty_percent", 100.0)), s.get("temperature_c")
        )
        for s in r["steps"]  # type: ignore[attr-defined]
    )
    return Protocol(str(r["id"]), str(r["name"]), steps, str(r["source"]), str(r["confidence"]), bool(r["verified"]))


@cache
def protocols() -> tuple[Protocol, ...]:
    """Every protocol of the library."""
    return tuple(_protocol(record) for record in load_records("protocols"))


def protocol(name: str) -> Protocol:
    """The protocol of that id, name or alias such as "3-1-3".

    Raises:
        KnowledgeError: there is none; the message offers the nearest.
    """
    return _protocol(find_record("protocol", name, load_records("protocols")))


@dataclass(frozen=True)
class SampleCt:
    """A public CT to try the program on: where it comes from, and how it is known to be the right file.

    Attributes:
        package: name and version at PyPI.
        url, file, sha256: of the package.
        folder, members: place of CT, labels and names in it.
        citation: a sentence that must be shown with what is made from it.
    """

    package: str
    url: str
    file: str
    sha256: str
    folder: str
    members: tuple[str, ...]
    citation: str


@cache
def demo_source() -> SampleCt:
    """The CT of the demo."""
    record = load_records("sample_cts")[0]
    values = {f.name: record[f.name] for f in fields(SampleCt)}
    return SampleCt(**values | {"members": tuple(values["members"])})
