"""Facts from Resources/Data, validated: nerves, probes, protocols, tissues, limits, colors, constants."""

from .catalog import (
    ConstantRecord,
    InjuryRecord,
    ProtectionRecord,
    TissueRecord,
    color,
    constant,
    injury_classes,
    limits,
    probe,
    probes,
    protection,
    protections,
    protocol,
    protocols,
    tissue,
    tissues,
)
from .nerves import NeighborRecord, NerveRecord, code_set_text, limits_for, nerve, nerves
from .records import data_folder, load_records

__all__ = [
    "ConstantRecord",
    "InjuryRecord",
    "NeighborRecord",
    "NerveRecord",
    "ProtectionRecord",
    "TissueRecord",
    "code_set_text",
    "color",
    "constant",
    "data_folder",
    "injury_classes",
    "limits",
    "limits_for",
    "load_records",
    "nerve",
    "nerves",
    "probe",
    "probes",
    "protection",
    "protections",
    "protocol",
    "protocols",
    "tissue",
    "tissues",
]
