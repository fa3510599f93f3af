"""Curves as SVG, which needs no library and stays sharp in print."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

import numpy as np

from .content import Curve

_LINES = (("#1f5fd0", "none"), ("#d07a1f", "6 4"))
_MARK = "#777777"


@dataclass(frozen=True)
class Frame:
    """Room of a chart, px.

    Attributes:
        beside: names stand beside the lines; else inside, for a chart that has no room.
    """

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    beside: bool = True


PAGE = Frame(720, 300, 60, 200, 15, 45)
SMALL = Frame(222, 168, 30, 6, 26, 30, beside=False)


def svg(curve: Curve, frame: Frame = PAGE) -> ET.Element:
    """The curve as an SVG element."""
    x = np.asarray(curve.x, dtype=float)
    values = np.concatenate([line for _, line in curve.lines] + [np.array([v for _, v in curve.marks])])
    low, high = float(values.min()) - 5.0, float(max(values.max(), 40.0)) + 3.0
    width, height = frame.width - frame.left - frame.right, frame.height - frame.top - frame.bottom
    span = float(x[-1] - x[0]) or 1.0

    def px(value: float) -> float:
        return frame.left + width * (value - float(x[0])) / span

    def py(value: float) -> float:
        return frame.top + height * (high - value) / (high - low)

    box = f"0 0 {frame.width} {frame.height}"
    root = ET.Element("svg", {"viewBox": box, "width": str(frame.width), "role": "img", "class": "chart"})
    ET.SubElement(root, "title").text = f"{curve.y_label} {curve.x_label}"

    def text(at_x: float, at_y: float, words: str, anchor: str = "middle", fill: str = "#333") -> None:
        place = {"x": f"{at_x:.1f}", "y": f"{at_y:.1f}", "text-anchor": anchor, "fill": fill}
        ET.SubElement(root, "text", place).text = words

    def line(x1: float, y1: float, x2: float, y2: float, dash: str) -> None:
        ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
        ET.SubElement(root, "line", ends | {"stroke": _MARK, "stroke-dasharray": dash})

    right = frame.left + width
    ET.SubElement(
        root,
        "rect",
        {
            "x": str(frame.left),
            "y": str(frame.top),
            "width": str(width),
            "height": str(height),
            "fill": "none",
            "stroke": "#999",
        },
    )
    for value in np.arange(np.ceil(low / 20) * 20, high, 20 if frame.beside else 40):
        text(frame.left - 4, py(float(value)) + 4, f"{value:.0f}", "end")
    for value in np.linspace(x[0], x[-1], 6 if frame.beside else 4):
        text(px(float(value)), frame.height - frame.bottom + 14, f"{value:.0f}")
    text(frame.left + width / 2, frame.height - (8 if frame.beside else 3), curve.x_label)
    if frame.beside:
        text(frame.left, frame.top - 3, curve.y_label, "start")
    for words, value in curve.marks:
        line(frame.left, py(value), right, py(value), "2 3")
        if frame.beside:
            text(right + 6, py(value) + 4, words, "start", _MARK)
    if curve.now is not None:
        line(px(curve.now), frame.top, px(curve.now), frame.top + height, "1 0")
    for n, ((words, row), (stroke, dash)) in enumerate(zip(curve.lines, _LINES, strict=False)):
        points = " ".join(f"{px(float(a)):.1f},{py(float(b)):.1f}" for a, b in zip(x, row, strict=True))
        attributes = {"points": points, "fill": "none", "stroke": stroke, "stroke-width": "2", "stroke-dasharray": dash}
        ET.SubElement(root, "polyline", attributes)
        if frame.beside:
            text(right + 6, frame.top + 12 + 16 * n, words, "start", stroke)
        else:
            text(frame.left, 10 + 12 * n, words, "start", stroke)
    return root


def svg_text(*curves: Curve, frame: Frame = PAGE) -> str:
    """Curves side by side as the text of an SVG file of its own."""
    total = frame.width * len(curves)
    root = ET.Element(
        "svg", {"viewBox": f"0 0 {total} {frame.height}", "width": str(total), "height": str(frame.height)}
    )
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.set("font-family", "sans-serif")
    root.set("font-size", "12" if frame.beside else "10")
    ET.SubElement(root, "rect", {"width": str(total), "height": str(frame.height), "fill": "#ffffff"})
    for number, curve in enumerate(curves):
        part = svg(curve, frame)
        group = ET.SubElement(root, "g", {"transform": f"translate({number * frame.width} 0)"})
        group.extend(list(part))
    return ET.tostring(root, encoding="unicode")
