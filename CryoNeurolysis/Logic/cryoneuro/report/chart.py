"""Curves as SVG, which needs no library and stays sharp in print."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np

from .content import Curve

_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 300, 60, 200, 15, 45
_LINES = (("#1f5fd0", "none"), ("#d07a1f", "6 4"))
_MARK = "#777777"


def svg(curve: Curve) -> ET.Element:
    """The curve as an SVG element."""
    x = np.asarray(curve.x, dtype=float)
    values = np.concatenate([line for _, line in curve.lines] + [np.array([v for _, v in curve.marks])])
    low, high = float(values.min()) - 5.0, float(max(values.max(), 40.0)) + 3.0
    width, height = _W - _LEFT - _RIGHT, _H - _TOP - _BOTTOM
    span = float(x[-1] - x[0]) or 1.0

    def px(value: float) -> float:
        return _LEFT + width * (value - float(x[0])) / span

    def py(value: float) -> float:
        return _TOP + height * (high - value) / (high - low)

    root = ET.Element("svg", {"viewBox": f"0 0 {_W} {_H}", "width": str(_W), "role": "img", "class": "chart"})
    ET.SubElement(root, "title").text = f"{curve.y_label} {curve.x_label}"

    def text(at_x: float, at_y: float, words: str, anchor: str = "middle", fill: str = "#333") -> None:
        node = ET.SubElement(
            root, "text", {"x": f"{at_x:.1f}", "y": f"{at_y:.1f}", "text-anchor": anchor, "fill": fill}
        )
        node.text = words

    frame = {
        "x": str(_LEFT),
        "y": str(_TOP),
        "width": str(width),
        "height": str(height),
        "fill": "none",
        "stroke": "#999",
    }
    ET.SubElement(root, "rect", frame)
    for value in np.arange(np.ceil(low / 20) * 20, high, 20):
        text(_LEFT - 6, py(float(value)) + 4, f"{value:.0f}", "end")
    for value in np.linspace(x[0], x[-1], 6):
        text(px(float(value)), _H - _BOTTOM + 16, f"{value:.0f}")
    text(_LEFT + width / 2, _H - 8, curve.x_label)
    text(_LEFT, _TOP - 3, curve.y_label, "start")
    for words, value in curve.marks:
        y = py(value)
        ET.SubElement(
            root,
            "line",
            {
                "x1": str(_LEFT),
                "x2": str(_LEFT + width),
                "y1": f"{y:.1f}",
                "y2": f"{y:.1f}",
                "stroke": _MARK,
                "stroke-dasharray": "2 3",
            },
        )
        text(_LEFT + width + 6, y + 4, words, "start", _MARK)
    for n, ((words, line), (stroke, dash)) in enumerate(zip(curve.lines, _LINES, strict=False)):
        points = " ".join(f"{px(float(a)):.1f},{py(float(b)):.1f}" for a, b in zip(x, line, strict=True))
        attributes = {"points": points, "fill": "none", "stroke": stroke, "stroke-width": "2", "stroke-dasharray": dash}
        ET.SubElement(root, "polyline", attributes)
        text(_LEFT + width + 6, _TOP + 12 + 16 * n, words, "start", stroke)
    return root


def svg_text(curve: Curve) -> str:
    """The curve as the text of an SVG file of its own."""
    root = svg(curve)
    root.set("xmlns", "http://www.w3.org/2000/svg")
    root.set("height", str(_H))
    root.set("font-family", "sans-serif")
    root.set("font-size", "12")
    return ET.tostring(root, encoding="unicode")
