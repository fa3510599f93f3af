"""The case folder: everything of a case in files that Slicer opens, written whole or not at all."""

from .events import append_event, event, read_events
from .load import load_case
from .place import check_target
from .save import save_case

__all__ = ["append_event", "check_target", "event", "load_case", "read_events", "save_case"]
