"""Keys that work while the panel is open, wherever the focus is: step, time, slice, undo."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from .step_state import STEPS

KEYS = (
    ("Alt+Right", "next step"),
    ("Alt+Left", "step before"),
    ("Alt+.", "later"),
    ("Alt+,", "earlier"),
    ("Alt+P", "let time run"),
    ("Alt+Up", "slice toward the head"),
    ("Alt+Down", "slice toward the feet"),
    ("Alt+Z", "undo"),
    ("Alt+Y", "redo"),
)
"""Alt+1 to Alt+8 are on the buttons of the step bar."""


def connectKeys(panel: Any) -> list[Any]:
    """Shortcuts of the panel; keep what is returned."""
    actions = {
        "Alt+Right": lambda: panel.go(panel.current + 1),
        "Alt+Left": lambda: panel.go(panel.current - 1),
        "Alt+.": lambda: panel.step("freeze").move(1),
        "Alt+,": lambda: panel.step("freeze").move(-1),
        "Alt+P": lambda: panel.step("freeze").toggle(),
        "Alt+Up": lambda: moveSlice(panel, 1),
        "Alt+Down": lambda: moveSlice(panel, -1),
        "Alt+Z": panel.undo,
        "Alt+Y": panel.redo,
    }
    made = []
    for key, _words in KEYS:
        shortcut = qt.QShortcut(qt.QKeySequence(key), panel.ui.stepStack)
        shortcut.setContext(qt.Qt.WindowShortcut)
        action = actions[key]
        shortcut.activated.connect(lambda action=action: panel.guarded(action))
        made.append(shortcut)
    assert len(STEPS) <= 9  # one digit each
    return made


def moveSlice(panel: Any, slices: int) -> None:
    """Move the axial view by slices of the CT."""
    red, volume = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed"), panel.volume()
    if red is not None and volume is not None:
        red.SetSliceOffset(red.GetSliceOffset() + slices * float(volume.GetSpacing()[2]))
