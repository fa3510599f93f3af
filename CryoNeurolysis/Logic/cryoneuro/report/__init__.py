"""The report: one content tree, written as an HTML page and as JSON numbers."""

from .card import nerve_card
from .chart import svg_text
from .content import Picture, build_report, nerve_curve, report_numbers
from .html import render_html, render_preview
from .write import write_report

__all__ = [
    "Picture",
    "build_report",
    "nerve_card",
    "nerve_curve",
    "render_html",
    "render_preview",
    "report_numbers",
    "svg_text",
    "write_report",
]
