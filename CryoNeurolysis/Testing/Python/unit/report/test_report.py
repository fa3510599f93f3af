"""The report: one tree, the same numbers in HTML and JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cryoneuro.model import Case, CaseError
from cryoneuro.report import Picture, build_report, render_html, report_numbers, write_report
from cryoneuro.report.content import DISCLAIMER

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.images: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"] or "")


def test_html_and_json_say_the_same(assessed_case: Case, tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)
    page, numbers = write_report(
        build_report(assessed_case, (Picture(picture, "A <caption> & more"),)), tmp_path / "report"
    )
    parser = Text()
    parser.feed(page.read_text(encoding="utf-8"))
    text = " ".join(parser.words)
    data = json.loads(numbers.read_text(encoding="utf-8"))
    assert data["verdict"] in text and data["sentence"] in text
    for clearance in data["clearances"]:
        assert f"{clearance['clearance_mm']:.1f}" in text
    for finding in data["findings"]:
        assert finding["sentence"] in text
    assert "A <caption> & more" in text and parser.images[0].startswith("data:image/png;base64,")
    assert DISCLAIMER in text
    assert "0 C" in text and "-20 C" in text


def test_numbers_are_the_cases(assessed_case: Case) -> None:
    plan, assessment = assessed_case.plan, assessed_case.assessment
    assert plan is not None and assessment is not None
    data = report_numbers(assessed_case)
    assert data["probes"][0]["tip_ras_mm"] == plan.probes[0].trajectory.tip_ras_mm.tolist()
    assert [f["id"] for f in data["findings"]] == [f.id for f in assessment.findings]
    assert len(data["along_nerve"]["distance_mm"]) == len(data["along_nerve"]["section_coldest_c"])


def test_text_is_escaped(assessed_case: Case) -> None:
    assert assessed_case.plan is not None
    nerve = replace(assessed_case.plan.nerve, name="<script>alert(1)</script>")
    html = render_html(build_report(replace(assessed_case, plan=replace(assessed_case.plan, nerve=nerve))))
    assert "<script>" not in html and "&lt;script&gt;" in html


def test_an_unfinished_case_has_no_report(planned_case: Case) -> None:
    with pytest.raises(CaseError, match="simulate"):
        build_report(planned_case)
    with pytest.raises(CaseError):
        report_numbers(planned_case)


def test_an_unwritable_place_is_a_sentence(assessed_case: Case, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CaseError, match="report could not be written"):
        write_report(build_report(assessed_case), tmp_path / "file" / "report")
