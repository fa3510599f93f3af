"""Step 7: what is kept: preview, case folder, report."""

from __future__ import annotations

from typing import Any

import qt
from slicer.i18n import tr as _

from .base import Step


class ReportStep(Step):
    """Preview and save."""

    name = "report"
    uiName = "ReportStep"

    def setup(self) -> None:
        """Connect."""
        self._shown: Any = None
        self.on(self.ui.saveButton.clicked, self.onSave)
        self.on(self.ui.refreshButton.clicked, lambda *_unused: self.preview())

    def onSave(self, *_unused: Any) -> None:
        """Ask for a folder and write the case into it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder in which the case folder is made"))
        if folder:
            self.panel.save(str(folder))

    def preview(self) -> None:
        """Make the preview anew."""
        self.ui.previewText.setHtml(self.panel.runner().previewHtml())

    def entered(self) -> None:
        """Show what there is."""
        case = self.panel.runner().case
        if case is not self._shown or case is None:
            self._shown = case
            self.preview()

    def refresh(self) -> None:
        """Buttons."""
        case = self.panel.runner().case
        idle = not self.panel.isRunning()
        self.ui.saveButton.setEnabled(bool(idle and case is not None))
        self.ui.refreshButton.setEnabled(bool(idle and case is not None))
        self.ui.reportLabel.setText(self.panel.savedWhere())
