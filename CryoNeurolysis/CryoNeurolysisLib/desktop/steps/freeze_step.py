"""Step 5: what the cold does, in time and place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import qt
from cryoneuro.knowledge import probes, protocols
from slicer.i18n import tr as _

from ..tables import MARKS, fillTable
from .base import Step

_PLAY_MS = 120


class FreezeStep(Step):
    """Probe, protocol, simulation, time, neighbors."""

    name = "freeze"
    uiName = "FreezeStep"

    def setup(self) -> None:
        """Fill the lists; the first row stands for the target's default."""
        default = ("", _("Default of the target"))
        self.probes = [default, *((p.id, p.name) for p in probes())]
        self.protocols = [default, *((p.id, p.name) for p in protocols())]
        self.ui.probeSelector.addItems([words for _id, words in self.probes])
        self.ui.protocolSelector.addItems([words for _id, words in self.protocols])
        self._shown: Any = None
        self._wanted = -1
        self.on(self.ui.probeSelector.activated, self.onProbe)
        self.on(self.ui.protocolSelector.activated, self.onProtocol)
        self.on(self.ui.freezeButton.clicked, lambda *_unused: self.panel.freeze())
        self.on(self.ui.timeSlider.valueChanged, self.onTime)
        self.on(self.ui.playButton.clicked, self.onPlay)
        self._late = qt.QTimer()
        self._late.setSingleShot(True)
        self.on(self._late.timeout, self._showWanted)
        self._clock = qt.QTimer()
        self._clock.setInterval(_PLAY_MS)
        self.on(self._clock.timeout, self._tick)

    def onProbe(self, index: int) -> None:
        """Another probe."""
        self.panel.parameters().probe = self.probes[index][0]

    def onProtocol(self, index: int) -> None:
        """Another protocol."""
        self.panel.parameters().protocol = self.protocols[index][0]

    def onTime(self, index: int) -> None:
        """Another moment; while one is drawn only the last one that was asked for waits, so that nothing queues up."""
        self._wanted = index
        self._late.start(0)

    def _showWanted(self, *_unused: Any) -> None:
        self.ui.timeLabel.setText(self.panel.runner().showTime(self._wanted))

    def onPlay(self, *_unused: Any) -> None:
        """Let the time run, or stop it."""
        if self.value(self.ui.playButton, "checked"):
            self._clock.start()
        else:
            self._clock.stop()

    def _tick(self, *_unused: Any) -> None:
        last = int(self.value(self.ui.timeSlider, "maximum"))
        now = int(self.value(self.ui.timeSlider, "value"))
        self.ui.timeSlider.setValue(0 if now >= last else now + 1)

    def stop(self) -> None:
        """No timer outlives the panel."""
        self._clock.stop()
        self._late.stop()

    def refresh(self) -> None:
        """Lists, slider, neighbors and verdict."""
        node, runner = self.panel.parameters(), self.panel.runner()
        self.ui.probeSelector.setCurrentIndex([i for i, _w in self.probes].index(node.probe))
        self.ui.protocolSelector.setCurrentIndex([i for i, _w in self.protocols].index(node.protocol))
        running = self.panel.isRunning()
        self.ui.freezeButton.setEnabled(bool(not running and self.panel.planFits()))
        times = runner.timesS()
        self.ui.timeSlider.setEnabled(bool(times) and not running)
        self.ui.playButton.setEnabled(bool(times) and not running)
        run = runner.case.thermal if runner.case is not None else None
        if run is self._shown:
            return
        self._shown = run
        assessment = runner.case.assessment if runner.case is not None else None
        self.ui.timeSlider.setMaximum(max(0, len(times) - 1))
        self.ui.timeSlider.setValue(max(0, len(times) - 1))
        if run is None or assessment is None:
            self._clock.stop()
            self.ui.timeLabel.setText("")
            self.ui.verdictLabel.setText(_("Not simulated yet."))
            self.ui.legendLabel.setText("")
            self.ui.nervePlot.clear()
            fillTable(self.ui.neighborTable, [])
            return
        # A slider that stands at its end already says nothing, but the isotherms are new.
        self.onTime(len(times) - 1)
        self.ui.legendLabel.setText(
            _(
                "0 C: edge of the ice, all that CT shows. -20 C: nerve treated. -40 C. Thin: where -20 C may lie as well."
            )
        )
        rows = []
        for finding in assessment.findings:
            if not finding.id.startswith("guard.") or finding.value is None:
                continue
            band = "" if finding.low is None else f"{finding.low:.0f} to {finding.high:.0f} C"
            margin = "" if finding.slack is None else f"{finding.slack:+.0f} C"
            rows.append(
                [MARKS[finding.status.value], finding.subject.replace("_", " "), f"{finding.value:.0f} C", band, margin]
            )
        fillTable(self.ui.neighborTable, rows)
        self.ui.verdictLabel.setText(f"{assessment.verdict.value.upper()}. {assessment.sentence}")
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / "nerve.svg"
            picture.write_text(runner.nerveChart(), encoding="utf-8")
            self.ui.nervePlot.setPixmap(qt.QPixmap(str(picture)))
