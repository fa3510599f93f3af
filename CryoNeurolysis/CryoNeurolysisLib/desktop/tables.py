"""Rows of text in a table widget, with a mark and words for a state; color is never alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import qt

MARKS = {"ok": "\u2713 ok", "warning": "! look", "unknown": "? unknown", "stop": "\u2715 stop"}


def fillTable(table: Any, rows: Sequence[Sequence[str]], stretch: int = 1) -> None:
    """Put rows of text into a table; one column takes the room that is left."""
    table.blockSignals(True)
    header = table.horizontalHeader()
    header.setStretchLastSection(False)
    count = header.count() if callable(header.count) else header.count
    # A header that follows its contents would measure the whole table again for every cell.
    for column in range(count):
        header.setSectionResizeMode(column, qt.QHeaderView.Interactive)
    table.setRowCount(len(rows))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(r, c, item)
    table.verticalHeader().setVisible(False)
    # The whole text is in the tooltip; wrapped, a few rows would fill the page.
    table.setWordWrap(False)
    table.resizeColumnsToContents()
    table.resizeRowsToContents()
    header.setSectionResizeMode(stretch, qt.QHeaderView.Stretch)
    table.blockSignals(False)


def checkCell(table: Any, row: int, column: int, text: str, checked: bool) -> None:
    """A cell with a box to check."""
    table.blockSignals(True)
    item = qt.QTableWidgetItem(text)
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)
    item.setCheckState(qt.Qt.Checked if checked else qt.Qt.Unchecked)
    table.setItem(row, column, item)
    table.blockSignals(False)


def isChecked(table: Any, row: int, column: int) -> bool:
    """Whether the box of a cell is checked."""
    item = table.item(row, column)
    return item is not None and item.checkState() == qt.Qt.Checked
