"""Facts from Resources/Data, validated: nerves, probes, protocols, tissues, limits, colors, constants."""

from .catalog import (
    ConstantRecord,
    ProtectionRecord,
    TissueRecord,
    color,
    constant,
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
from .nerves import NeighborRecord, NerveRecord, limits_for, nerve, nerves
from .records import data_folder, load_records

__all__ = [
    "ConstantRecord",
    "NeighborRecord",
    "NerveRecord",
    "ProtectionRecord",
    "TissueRecord",
    "color",
    "constant",
    "data_folder",
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
