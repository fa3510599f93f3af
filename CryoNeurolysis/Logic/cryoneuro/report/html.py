"""The report as one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
from xml.etree import ElementTree as ET

from .chart import svg
from .content import DISCLAIMER, Curve, Picture, Report, Table

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1100px; padding: 0 1rem; color: #1b1f24; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ccc; }
.verdict { padding: .7rem 1rem; border-left: 8px solid #888; background: #f3f4f6; }
.verdict strong { font-size: 1.2rem; text-transform: uppercase; letter-spacing: .04em; }
.verdict.treated_and_safe { border-color: #1a7f37; } .verdict.caution { border-color: #bf8700; }
.verdict.unknown { border-color: #6e40c9; }
.verdict.not_treated, .verdict.likely_not_treated, .verdict.unsafe { border-color: #cf222e; }
table { border-collapse: collapse; margin: .7rem 0; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid #ddd; vertical-align: top; }
tr.stop td:first-child { color: #cf222e; font-weight: bold; } tr.warning td:first-child { color: #9a6700; font-weight: bold; }
tr.unknown td:first-child { color: #6e40c9; font-weight: bold; } tr.ok td:first-child { color: #1a7f37; }
figure { display: inline-block; margin: .4rem; max-width: 520px; vertical-align: top; } figure img { width: 100%; }
figcaption { font-size: .85rem; color: #555; } svg.chart text { font: 12px system-ui, sans-serif; }
footer { margin-top: 3rem; color: #555; font-size: .85rem; }
"""


def render_html(report: Report) -> str:
    """The page as text; pictures are inside it."""
    page = ET.Element("html", {"lang": "en"})
    head = ET.SubElement(page, "head")
    ET.SubElement(head, "meta", {"charset": "utf-8"})
    ET.SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    ET.SubElement(head, "title").text = report.title
    ET.SubElement(head, "style").text = _STYLE
    body = ET.SubElement(page, "body")
    ET.SubElement(body, "h1").text = report.title
    verdict = ET.SubElement(body, "div", {"class": f"verdict {report.verdict_status}"})
    ET.SubElement(verdict, "strong").text = report.verdict
    ET.SubElement(verdict, "p").text = report.sentence
    for section in report.sections:
        ET.SubElement(body, "h2").text = section.title
        for block in section.blocks:
            _block(body, block)
    ET.SubElement(body, "footer").text = DISCLAIMER
    return "<!DOCTYPE html>\n" + ET.tostring(page, encoding="unicode", method="html")


def render_preview(report: Report) -> str:
    """The words and tables of the report, without pictures and charts, in the simple HTML that a text widget shows."""
    body = ET.Element("div")
    ET.SubElement(body, "h3").text = report.title
    ET.SubElement(body, "p").text = f"{report.verdict.upper()}. {report.sentence}"
    for section in report.sections:
        blocks = [b for b in section.blocks if isinstance(b, str | Table)]
        if blocks:
            ET.SubElement(body, "h4").text = section.title
        for block in blocks:
            _block(body, block)
    ET.SubElement(body, "p").text = DISCLAIMER
    return ET.tostring(body, encoding="unicode", method="html")


def _block(parent: ET.Element, block: str | Table | Curve | Picture) -> None:
    if isinstance(block, Table):
        _table(parent, block)
    elif isinstance(block, Curve):
        parent.append(svg(block))
    elif isinstance(block, Picture):
        figure = ET.SubElement(parent, "figure")
        data = base64.b64encode(block.path.read_bytes()).decode()
        ET.SubElement(figure, "img", {"src": f"data:image/png;base64,{data}", "alt": block.caption})
        ET.SubElement(figure, "figcaption").text = block.caption
    else:
        ET.SubElement(parent, "p").text = block


def _table(parent: ET.Element, table: Table) -> None:
    node = ET.SubElement(parent, "table")
    head = ET.SubElement(ET.SubElement(node, "thead"), "tr")
    for words in table.header:
        ET.SubElement(head, "th").text = words
    body = ET.SubElement(node, "tbody")
    for number, row in enumerate(table.rows):
        line = ET.SubElement(body, "tr", {"class": table.status[number]} if table.status else {})
        for words in row:
            ET.SubElement(line, "td").text = words
