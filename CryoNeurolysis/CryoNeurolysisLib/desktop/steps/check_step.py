"""Step 6: what is looked at before the needle: block, contraindications, bleeding, local anesthetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryoneuro.knowledge import anesthetics, checklist
from cryoneuro.model import BlockRecord, Check
from slicer.i18n import tr as _

from ..tables import MARKS, fillTable
from .base import Step


class CheckStep(Step):
    """Form, questions, findings."""

    name = "check"
    uiName = "CheckStep"

    def setup(self) -> None:
        """Connect; every entry is kept at once."""
        self._filling = False
        self.anesthetics = [("", _("not said")), *((a.id, a.name) for a in anesthetics())]
        self.ui.anestheticSelector.addItems([words for _id, words in self.anesthetics])
        self.on(self.ui.anestheticSelector.activated, lambda *_unused: self.onEntry())
        for name in ("agentEdit", "spreadEdit"):
            self.on(getattr(self.ui, name).editingFinished, self.onEntry)
        self.spins = (
            "blockVolumeSpin", "painBeforeSpin", "painAfterSpin", "inrSpin",
            "plateletsSpin", "percentSpin", "mlSpin", "weightSpin",
        )  # fmt: skip
        for name in self.spins:
            self.on(getattr(self.ui, name).editingFinished, self.onEntry)
        self.on(self.ui.questionTable.cellClicked, self.onQuestion)

    def _number(self, name: str) -> float | None:
        """What a spin box holds; its lowest value means that nobody said it."""
        widget = getattr(self.ui, name)
        value = float(self.value(widget, "value"))
        return None if value <= float(self.value(widget, "minimum")) else value

    def onEntry(self, *_unused: Any) -> None:
        """Keep what the form says."""
        if self._filling:
            return
        old = self.panel.check()
        agent, spread = (str(self.value(getattr(self.ui, n), "text")).strip() for n in ("agentEdit", "spreadEdit"))
        volume, before, after = (self._number(n) for n in ("blockVolumeSpin", "painBeforeSpin", "painAfterSpin"))
        said = bool(agent or spread or any(v is not None for v in (volume, before, after)))
        index = int(self.value(self.ui.anestheticSelector, "currentIndex"))
        self.keep(
            replace(
                old,
                block=BlockRecord(agent, volume, spread, before, after) if said else None,
                inr=self._number("inrSpin"),
                platelets_giga_l=self._number("plateletsSpin"),
                weight_kg=self._number("weightSpin"),
                anesthetic=self.anesthetics[index][0],
                anesthetic_percent=self._number("percentSpin"),
                anesthetic_ml=self._number("mlSpin"),
            )
        )

    def keep(self, check: Check) -> None:
        """Keep what was entered with the case."""
        runner = self.panel.runner()
        runner.check = check
        if runner.case is not None:
            runner.put(replace(runner.case, check=check))
        self.panel.refresh()

    def onQuestion(self, row: int, column: int = 0) -> None:
        """Not answered, no, yes, and round again."""
        check, question = self.panel.check(), checklist()[row].id
        answer = dict(check.answers).get(question)
        if answer is None:
            check = check.answered(question, False)
        elif not answer:
            check = check.answered(question, True)
        else:
            check = replace(check, answers=tuple(a for a in check.answers if a[0] != question))
        self.keep(check)

    def refresh(self) -> None:
        """The form, the questions, and what speaks against it."""
        check = self.panel.check()
        block = check.block or BlockRecord()
        self._filling = True
        self.ui.agentEdit.setText(block.agent)
        self.ui.spreadEdit.setText(block.spread_seen)
        values = (
            block.volume_ml, block.pain_before, block.pain_after, check.inr, check.platelets_giga_l,
            check.anesthetic_percent, check.anesthetic_ml, check.weight_kg,
        )  # fmt: skip
        for name, value in zip(self.spins, values, strict=True):
            widget = getattr(self.ui, name)
            whole = name in ("painBeforeSpin", "painAfterSpin", "plateletsSpin", "weightSpin")
            lowest = self.value(widget, "minimum")
            widget.setValue(lowest if value is None else int(value) if whole else float(value))
        self.ui.anestheticSelector.setCurrentIndex([i for i, _w in self.anesthetics].index(check.anesthetic))
        self._filling = False
        answers = {None: _("? not answered"), False: _("\u2713 no"), True: _("! yes")}
        rows = [[q.text, answers[dict(check.answers).get(q.id)]] for q in checklist()]
        fillTable(self.ui.questionTable, rows, stretch=0)
        from cryoneuro.assessment import check_findings

        target = self.panel.parameters().target
        lines = [f"{MARKS[f.status.value]}: {f.sentence}" for f in check_findings(check, target)]
        approvals = [_("Plan approved by {who}, {when}.").format(who=a.who, when=a.time_utc) for a in check.approvals]
        self.ui.checkText.setPlainText("\n".join([*approvals, *lines]))


def begun(check: Check) -> bool:
    """Whether anything has been entered."""
    return check != Check(approvals=check.approvals)
