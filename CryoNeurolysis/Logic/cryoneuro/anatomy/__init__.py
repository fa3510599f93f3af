"""What lies around the nerve, and where the nerve runs: from the CT, from imported labels, from landmarks."""

from .corridor import Corridor, corridor
from .labels import structures_from_labels
from .proposal import nerve_from_points, propose_nerve
from .pulled import pulled_course
from .requirements import for_target
from .seeded import grow_structure
from .segment import segment, with_structure
from .skin import SkinEntries, skin_entries

__all__ = [
    "Corridor",
    "SkinEntries",
    "corridor",
    "for_target",
    "grow_structure",
    "nerve_from_points",
    "propose_nerve",
    "pulled_course",
    "segment",
    "skin_entries",
    "structures_from_labels",
    "with_structure",
]
