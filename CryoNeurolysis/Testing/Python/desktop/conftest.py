"""The panel in a window without Slicer."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def window(remembered_anatomy):
    """The module's widget on an empty scene."""
    pytest.importorskip("PySide6", reason="PySide6 is not installed (extra: dev)")
    pytest.importorskip("slicer", reason="slicer-core is not installed (extra: scene)")
    from slicer_stand_in import Window

    with Window() as found:
        yield found
