"""The objects that travel between the rooms: frozen dataclasses, validated when made, hashed by content."""

from .anatomy import Anatomy, Nerve, Structure, StructureRole, TissueMap
from .assessment import Assessment, Doubt, Driver, Finding, NeighborDose, Status, Verdict
from .case import Case, Event
from .check import Approval, BlockRecord, Check
from .content import content_hash, frozen_array
from .ct import Acquisition, CtVolume
from .errors import (
    AnatomyError,
    AssessmentError,
    CancelledError,
    CaseError,
    CryoNeuroError,
    GuidanceError,
    ImageError,
    KnowledgeError,
    PlanningError,
    ThermalError,
)
from .geometry import VolumeGeometry, across, inverse_of, moved
from .guidance import (
    Advice,
    Alignment,
    Calibration,
    Countdown,
    FoundProbe,
    IceComparison,
    IdentityQuestion,
    SeenIce,
    TargetingError,
)
from .needle import Instrument, NeedleModel
from .plan import CandidateSet, Clearance, Limit, Limits, Plan, PlannedProbe, Trajectory
from .probe import ProbeModel, Protocol, ProtocolStep, StepKind
from .progress import Cancelled, Progress, never_cancelled, no_progress
from .protection import Protection
from .thermal import ColdProfile, ThermalRun

__all__ = [
    "Acquisition",
    "Advice",
    "Alignment",
    "Anatomy",
    "AnatomyError",
    "Approval",
    "Assessment",
    "AssessmentError",
    "BlockRecord",
    "Calibration",
    "Cancelled",
    "CancelledError",
    "CandidateSet",
    "Case",
    "CaseError",
    "Check",
    "Clearance",
    "ColdProfile",
    "Countdown",
    "CryoNeuroError",
    "CtVolume",
    "Doubt",
    "Driver",
    "Event",
    "Finding",
    "FoundProbe",
    "GuidanceError",
    "IceComparison",
    "IdentityQuestion",
    "ImageError",
    "Instrument",
    "KnowledgeError",
    "Limit",
    "Limits",
    "NeedleModel",
    "NeighborDose",
    "Nerve",
    "Plan",
    "PlannedProbe",
    "PlanningError",
    "ProbeModel",
    "Progress",
    "Protection",
    "Protocol",
    "ProtocolStep",
    "SeenIce",
    "Status",
    "StepKind",
    "Structure",
    "StructureRole",
    "TargetingError",
    "ThermalError",
    "ThermalRun",
    "TissueMap",
    "Trajectory",
    "Verdict",
    "VolumeGeometry",
    "across",
    "content_hash",
    "frozen_array",
    "inverse_of",
    "moved",
    "never_cancelled",
    "no_progress",
]
