"""Properties of widgets: attributes in Slicer's PythonQt, methods in other Qt bindings."""

from __future__ import annotations

from typing import Any


def valueOf(widget: Any, name: str) -> Any:
    """The value of a property such as currentIndex, text, value or checked."""
    if name == "checked" and not hasattr(widget, "checked"):
        return widget.isChecked()
    found = getattr(widget, name)
    return found() if callable(found) else found
