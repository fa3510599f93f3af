"""The report: one content tree, written as an HTML page and as JSON numbers."""

from typing import TYPE_CHECKING

from ..model.lazy import lazy_names

if TYPE_CHECKING:
    from .card import nerve_card
    from .chart import SMALL, svg_text
    from .content import Picture, build_report, nerve_curve, report_numbers, time_curves
    from .html import render_html, render_preview
    from .write import write_page, write_report

__getattr__ = lazy_names(
    __name__,
    {
        "Picture": "content",
        "SMALL": "chart",
        "build_report": "content",
        "nerve_card": "card",
        "nerve_curve": "content",
        "render_html": "html",
        "render_preview": "html",
        "report_numbers": "content",
        "svg_text": "chart",
        "time_curves": "content",
        "write_page": "write",
        "write_report": "write",
    },
)

__all__ = [
    "SMALL",
    "Picture",
    "build_report",
    "nerve_card",
    "nerve_curve",
    "render_html",
    "render_preview",
    "report_numbers",
    "svg_text",
    "time_curves",
    "write_page",
    "write_report",
]
