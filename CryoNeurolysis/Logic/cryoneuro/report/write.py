"""The report's files in a case folder, and its page anywhere else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..model import CaseError
from .content import Report
from .html import render_html


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.json, each under a temporary name first.

    Raises:
        CaseError: the folder cannot be written, or the disk is full.
    """
    _write(
        folder,
        {
            "report.html": render_html(report),
            "report.json": json.dumps(report.numbers, indent=1, ensure_ascii=False),
        },
    )
    return folder / "report.html", folder / "report.json"


def write_page(report: Report, path: Path) -> Path:
    """Write the report as one HTML page, pictures inside, under a temporary name first.

    Raises:
        CaseError: the place cannot be written, or the disk is full.
    """
    _write(path.parent, {path.name: render_html(report)})
    return path


def _write(folder: Path, texts: Mapping[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            scratch = folder / f".{name}.writing"
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(folder / name)
    except OSError as error:
        raise CaseError(f"The report could not be written to {folder}: {error.strerror or error}.") from error
