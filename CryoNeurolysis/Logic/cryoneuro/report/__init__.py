"""The report: one content tree, written as an HTML page and as JSON numbers."""

from .content import Picture, build_report, report_numbers
from .html import render_html
from .write import write_report

__all__ = ["Picture", "build_report", "render_html", "report_numbers", "write_report"]
