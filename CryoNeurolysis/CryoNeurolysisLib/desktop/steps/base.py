"""What the steps have in common."""

from __future__ import annotations

from typing import Any

from ..read_widget import valueOf


class Step:
    """A page of the panel and what happens on it.

    Attributes:
        name: of the step, as in step_state.STEPS.
        uiName: file in Resources/UI without its ending.
    """

    name = ""
    uiName = ""

    def __init__(self, panel: Any, ui: Any) -> None:
        """
        Args:
            panel: the panel: parameters(), volume(), runner(), inputs(), start(), present(), refresh(), guarded(), logic.
            ui: the page's widgets by name.
        """
        self.panel = panel
        self.ui = ui
        self.setup()

    def setup(self) -> None:
        """Fill lists and connect signals, once."""

    def refresh(self) -> None:
        """Bring the page to what the case and the parameters say."""

    def entered(self) -> None:
        """The page has become visible."""

    def on(self, signal: Any, slot: Any) -> None:
        """Connect a signal to a slot whose errors the panel shows as sentences."""
        signal.connect(lambda *values: self.panel.guarded(slot, *values))

    @staticmethod
    def value(widget: Any, name: str) -> Any:
        """A property of a widget."""
        return valueOf(widget, name)
