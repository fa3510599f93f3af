"""Step 8: what is kept: preview, case folder, report."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
from slicer.i18n import tr as _

from .. import services
from .base import Step


class ReportStep(Step):
    """Preview, save, export."""

    name = "report"
    uiName = "ReportStep"

    def setup(self) -> None:
        """Connect."""
        self._shown: Any = None
        self.on(self.ui.saveButton.clicked, self.onSave)
        self.on(self.ui.exportButton.clicked, self.onExport)
        self.on(self.ui.refreshButton.clicked, lambda *_unused: self.preview())

    def onSave(self, *_unused: Any) -> None:
        """Ask for a folder and write the case into it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder in which the case folder is made"))
        if folder:
            self.save(str(folder))

    def save(self, folder: str) -> None:
        """Write the case folder with its report."""
        runner = self.panel.runner()
        case = runner.case
        keep = tempfile.TemporaryDirectory()
        pictures = services.viewPictures(Path(keep.name))

        def work(progress: Any, cancelled: Any) -> Any:
            progress(0.3, _("Writing the case"))
            with keep:
                return runner.save(Path(folder), pictures)

        def done(place: Any) -> None:
            self.panel.saved, self.panel.savedTo = case, str(place)
            self.panel.refresh(_("Saved in {place}.").format(place=place))

        self.panel.startAny("report", work, done, _("Writing the case"))

    def onExport(self, *_unused: Any) -> None:
        """Ask for a file and write the report into it."""
        found = qt.QFileDialog.getSaveFileName(None, _("Report as one HTML page"), "report.html")
        path = found[0] if isinstance(found, tuple) else found
        if path:
            self.export(str(path))

    def export(self, path: str) -> None:
        """Write the report as one page, pictures inside."""
        runner = self.panel.runner()
        case = runner.case
        keep = tempfile.TemporaryDirectory()
        pictures = services.viewPictures(Path(keep.name))

        def work(progress: Any, cancelled: Any) -> Any:
            from cryoneuro.report import build_report, write_page

            progress(0.3, _("Writing the report"))
            with keep:
                return write_page(build_report(case, pictures), Path(path))

        self.panel.startAny(
            "report",
            work,
            lambda place: self.panel.refresh(_("Report written to {place}.").format(place=place)),
            _("Writing the report"),
        )

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
        self.ui.exportButton.setEnabled(bool(idle and case is not None and case.assessment is not None))
        words = _("Not saved yet. Saving the scene saves the case as well.")
        if self.panel.savedTo:
            words = self.panel.savedTo
            if self.panel.saved is not case:
                words = _("{where}; the case has changed since.").format(where=self.panel.savedTo)
        self.ui.reportLabel.setText(words)
