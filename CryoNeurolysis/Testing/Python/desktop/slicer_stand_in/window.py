"""A window with the panel on the left and, for pictures, the views drawn beside it."""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import application, qt_module

_KEPT: list[Any] = []
PANEL_PX = (470, 700)
"""What Slicer's module panel has on a laptop of 1280 x 800 under its own toolbar and module title."""


class Window:
    """The module's widget on a scene of its own; use as a context manager."""

    def __init__(self, size_px: tuple[int, int] = PANEL_PX) -> None:
        self.qt = qt_module.install()
        self.app = self.qt.QApplication.instance() or self.qt.QApplication(["panel"])
        from CryoNeurolysisLib.scene.host import HeadlessHost

        self.host = HeadlessHost()
        self.scene = self.host.scene
        application.install(self.scene, self.qt)
        self.errors: list[str] = []
        self.module = self._load()
        self.frame = self.qt.mrmlWidgets["qMRMLWidget"]()
        self.frame.setLayout(self.qt.QVBoxLayout())
        self.frame.layout().setContentsMargins(4, 4, 4, 4)
        self.frame.resize(*size_px)
        start = time.perf_counter()
        self.widget = self.module.CryoNeurolysisWidget(self.frame)
        self.widget.setup()
        self.setup_s = time.perf_counter() - start
        self.frame.show()
        self.widget.enter()
        self.settle()

    def _load(self) -> Any:
        """The module's file, executed as Slicer does."""
        sys.modules.pop("CryoNeurolysis", None)
        for name in [n for n in sys.modules if n.startswith("CryoNeurolysisLib.desktop")]:
            # They took their base names from the scene before.
            del sys.modules[name]
        spec = importlib.util.spec_from_file_location("CryoNeurolysis", application.MODULE_FILE)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["CryoNeurolysis"] = module
        spec.loader.exec_module(module)
        return module

    @property
    def panel(self) -> Any:
        """The panel of the module's widget."""
        return self.widget.panel

    @property
    def runner(self) -> Any:
        """The case runner of the scene."""
        return self.panel.runner()

    def step(self, name: str) -> Any:
        """Widgets of a step's page."""
        return next(step.ui for step in self.panel.steps if step.name == name)

    def status(self) -> str:
        """The line at the foot of the panel."""
        return str(self.panel.ui.statusLabel.text())

    def states(self) -> dict[str, str]:
        """State of every step, in words."""
        return {name: state.words for name, state in self.panel.states().items()}

    def settle(self, milliseconds: int = 20) -> None:
        """Let events arrive."""
        end = time.monotonic() + milliseconds / 1000.0
        while True:
            self.app.processEvents()
            if time.monotonic() >= end:
                return
            time.sleep(0.002)

    def wait(self, seconds: float = 120.0) -> None:
        """Until no job runs and no drag waits to end."""
        self.until(lambda: not self.panel.isRunning(), seconds)
        self.settle()

    def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        """Let events arrive until something is so.

        Raises:
            TimeoutError: it never was.
        """
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise TimeoutError(f"still waiting after {seconds:g} s; the panel says: {self.status()}")
            self.settle(5)

    def click(self, widget: Any) -> None:
        """Press a button as the mouse does.

        Raises:
            AssertionError: it cannot be pressed.
        """
        assert widget.isEnabled() and not widget.isHidden(), f"{widget.objectName()} cannot be pressed"
        widget.click()
        self.settle()

    def go(self, name: str) -> Any:
        """Show a step; returns its widgets."""
        self.click(getattr(self.panel.ui, f"{name}StepButton"))
        return self.step(name)

    def grab(self, path: Path) -> Path:
        """A picture of the panel."""
        self.settle(50)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self.frame.grab().save(str(path))
        return path

    def close(self) -> None:
        """As when the application ends; everything goes in a known order, on this thread."""
        self.widget.cleanup()
        self.frame.close()
        self.frame.deleteLater()
        self.settle()
        self.widget = self.module = self.frame = None
        sys.modules.pop("CryoNeurolysis", None)
        self.scene.Clear(0)
        gc.collect()
        # An application's scene and logics live as long as the process; taken apart by the collector they crash.
        _KEPT.append(self.host)
        self.host.close()

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()
