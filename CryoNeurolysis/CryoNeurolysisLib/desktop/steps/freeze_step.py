"""Step 5: what the cold does, in time and place."""

from __future__ import annotations

from typing import Any

import qt
from cryoneuro.knowledge import probes, protocols
from slicer.i18n import tr as _

from ...scene.isotherms import SHOWN_C, isothermColor, isothermWords
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
        self.on(self.ui.freezeButton.clicked, self.onFreeze)
        self.on(self.ui.timeSlider.valueChanged, self.onTime)
        self.on(self.ui.playButton.clicked, self.onPlay)
        self._late, self._clock = qt.QTimer(), qt.QTimer()
        self._late.setSingleShot(True)
        self._clock.setInterval(_PLAY_MS)
        self.on(self._late.timeout, self._showWanted)
        self.on(self._clock.timeout, self._tick)

    def onProbe(self, index: int) -> None:
        """Another probe."""
        self.panel.parameters().probe = self.probes[index][0]

    def onProtocol(self, index: int) -> None:
        """Another protocol."""
        self.panel.parameters().protocol = self.protocols[index][0]

    def onFreeze(self, *_unused: Any) -> None:
        """Simulate and assess."""
        freezer = self.panel.runner()
        case = freezer.case

        def done(made: Any, runner: Any) -> None:
            runner.put(made.case)
            self.panel.present(runner, made.case, made.prepared)
            self.panel.refresh(made.case.assessment.sentence)

        self.panel.start("freeze", lambda p, c: freezer.freeze(case, p, c), done, _("Freezing"))

    # Time

    def onTime(self, index: int) -> None:
        """Another moment; while one is drawn only the last one that was asked for waits, so that nothing queues up."""
        self._wanted = index
        self._late.start(0)

    def _showWanted(self, *_unused: Any) -> None:
        runner = self.panel.runner()
        self.ui.timeLabel.setText(runner.showTime(self._wanted))
        picture = qt.QPixmap()
        picture.loadFromData(runner.nerveChart(self._wanted).encode("utf-8"), "SVG")
        self.ui.nervePlot.setPixmap(picture)

    def onPlay(self, *_unused: Any) -> None:
        """Let the time run, or stop it."""
        if self.ui.playButton.isChecked():
            self._clock.start()
        else:
            self._clock.stop()

    def toggle(self) -> None:
        """As the play button."""
        if self.ui.playButton.isEnabled():
            self.ui.playButton.setChecked(not self.ui.playButton.isChecked())
            self.onPlay()

    def move(self, steps: int) -> None:
        """Later or earlier by so many moments."""
        if self.panel.runner().timesS():
            self.ui.timeSlider.setValue(int(self.value(self.ui.timeSlider, "value")) + steps)

    def _tick(self, *_unused: Any) -> None:
        last = int(self.value(self.ui.timeSlider, "maximum"))
        now = int(self.value(self.ui.timeSlider, "value"))
        self.ui.timeSlider.setValue(0 if now >= last else now + 1)

    def stop(self) -> None:
        """No timer outlives the panel."""
        self._clock.stop()
        self._late.stop()

    # Show

    def refresh(self) -> None:
        """Lists, slider, neighbors and verdict."""
        node, runner = self.panel.parameters(), self.panel.runner()
        self.ui.probeSelector.setCurrentIndex(self._row(self.probes, node.probe))
        self.ui.protocolSelector.setCurrentIndex(self._row(self.protocols, node.protocol))
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
            self.ui.playButton.setChecked(False)
            self.ui.timeLabel.setText("")
            self.ui.verdictLabel.setText(_("Not simulated yet."))
            self.ui.legendLabel.setText("")
            self.ui.nervePlot.clear()
            fillTable(self.ui.neighborTable, [])
            return
        # A slider that stands at its end already says nothing, but the isotherms are new.
        self.onTime(len(times) - 1)
        self.ui.legendLabel.setText(_legend(SHOWN_C[1] if runner.case.plan is None else runner.case.plan.treat_c))
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

    @staticmethod
    def _row(rows: list[tuple[str, str]], identifier: str) -> int:
        """Place in a list; the default for what this version no longer knows."""
        found = [i for i, _w in rows]
        return found.index(identifier) if identifier in found else 0


def _legend(treatC: float) -> str:
    """What the lines in the views mean, each with its color and in words."""
    edge = _("0 C, edge of the ice, all that CT shows")
    treated = f"{treatC:g} C, " + _("nerve treated (thin: where it may lie as well)")
    marks = []
    for words, isotherm in isothermWords(treatC, edge, treated):
        red, green, blue = (round(255 * value) for value in isothermColor(isotherm))
        marks.append(f'<span style="color:rgb({red},{green},{blue})">\u25a0</span> {words}')
    return "; ".join(marks)
