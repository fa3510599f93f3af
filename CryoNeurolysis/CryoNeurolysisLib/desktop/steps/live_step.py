"""Step 7: the scans of the procedure as they come, with the plan laid under them."""

from __future__ import annotations

from typing import Any

import qt
import slicer
from cryoneuro.guidance import DicomReceiver, FolderSource, IgtlSource, ReceiverSettings
from slicer.i18n import tr as _

from .. import services
from ..database_source import DatabaseSource
from ..live_room import LiveRoom
from ..tables import fillTable
from .base import Step

_CLOCK_MS = 1000


class LiveStep(Step):
    """Source, questions, errors of the probes, ice and countdown."""

    name = "live"
    uiName = "LiveStep"

    def setup(self) -> None:
        """Fill the list of sources and connect."""
        self.sources = (
            (_("DICOM push to this machine"), "11112", _("Port to listen at; this machine only.")),
            (_("Watched folder"), "", _("The folder into which the console exports.")),
            (_("OpenIGTLink"), "localhost:18944", _("Host and port of the server.")),
            (_("Slicer's DICOM database"), "", _("Nothing to fill in.")),
        )
        self.ui.sourceSelector.addItems([words for words, _place, _tip in self.sources])
        self.room = LiveRoom(
            slicer.mrmlScene,
            qt.QTimer(),
            qt.QTimer(),
            lambda: self.panel.guarded(self.panel.refresh),
            lambda: self.panel.guarded(self._putAside),
        )
        self._clock = qt.QTimer()
        self._clock.setInterval(_CLOCK_MS)
        self.on(self._clock.timeout, self._showClock)
        self.on(self.ui.sourceSelector.activated, self.onSource)
        self.on(self.ui.browseButton.clicked, self.onBrowse)
        self.on(self.ui.followButton.clicked, self.onFollow)
        self.on(self.ui.freezeBeginsButton.clicked, self.onFreeze)
        self.on(self.ui.yesButton.clicked, lambda *_unused: self.room.answerYes())
        self.onSource(0)

    def onSource(self, index: int) -> None:
        """Another kind of source."""
        _words, place, tip = self.sources[index]
        self.ui.placeEdit.setText(place)
        self.ui.placeEdit.setToolTip(tip)
        self.ui.placeEdit.setEnabled(index != 3)
        self.ui.browseButton.setEnabled(index == 1)

    def onBrowse(self, *_unused: Any) -> None:
        """Choose the folder that is watched."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder into which the console exports"))
        if folder:
            self.ui.placeEdit.setText(str(folder))

    def onFollow(self, *_unused: Any) -> None:
        """Begin to wait for scans, or end it."""
        if self.room.isFollowing():
            self.room.end()
            self._clock.stop()
            self._bringBack()
            return
        case = self.panel.runner().case
        if case is None or case.plan is None:
            raise ValueError(_("Plan a path first; without a plan there is nothing to lay under a scan."))
        self.room.begin(case, self._source(), self.panel.runner().records)
        self._clock.start()
        self.panel.refresh(_("Waiting for scans."))

    def _putAside(self) -> None:
        """Take the case's own nodes away: they lie where the patient lay in the planning CT."""
        self.panel.unwatch()
        self.panel.isPresenting = True
        try:
            self.panel.runner().hide()
        finally:
            self.panel.isPresenting = False

    def _bringBack(self) -> None:
        """The planning CT and the case again, in place of the live scan."""
        runner = self.panel.runner()
        self.room.leave()
        if runner.case is not None and self.panel.volume() is not None:
            self.panel.present(runner, runner.case, runner.prepared)
            if runner.case.plan is not None:
                services.showInSlices(self.panel.volume(), runner.case.plan.probes[0].trajectory.tip_ras_mm)
        self.panel.refresh(_("The planning CT is shown again."))

    def _source(self) -> Any:
        index = int(self.value(self.ui.sourceSelector, "currentIndex"))
        place = str(self.value(self.ui.placeEdit, "text")).strip()
        if index == 1:
            if not place:
                raise ValueError(_("Choose the folder into which the console exports."))
            return FolderSource(place)
        if index == 2:
            host, _mark, port = place.rpartition(":")
            if not port.isdecimal():
                raise ValueError(_("Write the server as HOST:PORT, like localhost:18944."))
            services.offerPackage("pyigtl", "pyigtl>=0.3", _("OpenIGTLink"))
            return IgtlSource(host or "127.0.0.1", int(port))
        if index == 3:
            return DatabaseSource()
        if not place.isdecimal():
            raise ValueError(_("A port is a number, like 11112."))
        services.offerPackage("pynetdicom", "pynetdicom>=3.0", _("Receiving DICOM"))
        folder = slicer.app.temporaryPath if hasattr(slicer.app, "temporaryPath") else None
        folder = folder() if callable(folder) else folder
        import tempfile
        from pathlib import Path

        return DicomReceiver(
            Path(str(folder or tempfile.gettempdir())) / "cryoneurolysis-received", ReceiverSettings(port=int(place))
        )

    def onFreeze(self, *_unused: Any) -> None:
        """The freeze begins, or ends."""
        self.room.freeze(not self.room.isFreezing())

    def stop(self) -> None:
        """No timer, thread or port outlives the panel."""
        self._clock.stop()
        self.room.close()

    def abandon(self) -> None:
        """The scene is about to close."""
        self._clock.stop()
        self.room.abandon()

    # Show

    def _showClock(self, *_unused: Any) -> None:
        seconds = self.room.frozenS()
        words = _("Freeze begins") if seconds is None else _("Freeze ends ({time})").format(time=_minutes(seconds))
        self.ui.freezeBeginsButton.setText(words)

    def refresh(self) -> None:
        """Buttons, advice, errors, sentences."""
        room, picture = self.room, self.room.picture
        case = self.panel.runner().case
        following = room.isFollowing()
        self.ui.followButton.setText(_("Stop following") if following else _("Follow"))
        self.ui.followButton.setEnabled(bool(following or (case is not None and case.plan is not None)))
        self.ui.sourceSelector.setEnabled(not following)
        self.ui.freezeBeginsButton.setEnabled(bool(following))
        self._showClock()
        questions = room.questions()
        self.ui.questionLabel.setVisible(bool(questions))
        self.ui.yesButton.setVisible(bool(questions))
        self.ui.questionLabel.setText(" ".join(q.sentence for q in questions))
        self.ui.adviceLabel.setText(_advice(picture))
        rows = []
        if picture is not None:
            for error in picture.targeting:
                rows.append(
                    [
                        str(error.planned + 1),
                        f"{error.tip_mm:.1f}",
                        f"{error.lateral_mm:.1f}",
                        f"{error.depth_mm:+.1f}",
                        f"{error.angle_deg:.1f}",
                        f"{error.to_go_mm:+.0f}",
                        f"{error.sigma_mm:.1f}",
                    ]
                )
        fillTable(self.ui.errorTable, rows, 6)
        self.ui.saidText.setPlainText("\n".join(room.said))
        bar = self.ui.saidText.verticalScrollBar()
        bar.setValue(int(self.value(bar, "maximum")))


def _advice(picture: Any) -> str:
    """Advice and the reason, or what is still missing."""
    if picture is None:
        return _("No scan has come yet.")
    if not picture.good:
        return _("Not overlaid. ") + (picture.sentences[-1] if picture.sentences else "")
    coming = "" if picture.countdown is None else f" {picture.countdown.sentence}"
    return f"{picture.sentences[-1]}{coming}"


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
