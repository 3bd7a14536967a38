"""The report links the studies that are kept beside it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from fake_runs import fake_params

from gigatok.paper.report.build import build_report
from gigatok.paper.studies.kept import kept_studies
from gigatok.paper.studies.page import write_guidance_study

REPOSITORY = Path(__file__).parents[3]
SCORED = {"scale": 1.0, "schedule": "constant", "start": 0.0, "samples": 36, "gfid": 9.0}
GUIDANCE = {"generator": "S-S", "profile": "nano", "commit": None, "dirty": None, "given_up": 1,
            "trials": [SCORED, {**SCORED, "scale": 2.0, "gfid": 8.0}]}  # fmt: skip


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """``reports`` with the project's own study, one of guidance, and two that are damaged."""
    studies = tmp_path / "reports" / "studies"
    shutil.copytree(REPOSITORY / "reports" / "studies" / "tokenizer-S-S", studies / "tokenizer-S-S")
    write_guidance_study(studies / "guidance-S-S", GUIDANCE)
    for name, damaged in (("torn", "study.json"), ("bare", "pareto.svg")):
        shutil.copytree(studies / "tokenizer-S-S", studies / name)
        (studies / name / damaged).unlink()
    (studies / "torn" / "study.json").write_text("{")
    return tmp_path / "reports"


def test_whole_studies_are_found_from_each_report(reports: Path) -> None:
    found = kept_studies(reports)
    assert [(each.title, each.trials, each.figure) for each in found] == [
        ("Guidance of S-S", 2, "guidance.svg"),
        ("Study tokenizer-S-S", 8, "pareto.svg"),
    ]
    assert [each.link for each in found] == ["studies/guidance-S-S/", "studies/tokenizer-S-S/"]
    inner = kept_studies(reports / "mini")
    assert [each.link for each in inner] == ["../studies/guidance-S-S/", "../studies/tokenizer-S-S/"]
    assert kept_studies(reports.parent / "elsewhere") == []


def test_both_documents_link_each_study_with_its_figure(reports: Path, tmp_path: Path) -> None:
    build_report(tmp_path / "runs", fake_params(), reports)
    text, page = (reports / "README.md").read_text(), (reports / "index.html").read_text()
    for name, title, figure in (
        ("tokenizer-S-S", "Study tokenizer-S-S", "pareto.png"),
        ("guidance-S-S", "Guidance of S-S", "guidance.png"),
    ):
        assert f"### {title}\n\n![" in text
        assert f"](studies/{name}/README.md)" in text
        assert f"](studies/{name}/{figure})" in text
        assert f'<h3><a href="studies/{name}/README.md">{title}</a></h3>' in page
    section = page.partition('<section id="studies">')[2].partition("</section>")[0]
    assert len(re.findall(r'<img src="data:image/svg\+xml;base64,', section)) == 2
    assert '<a href="#studies">Studies</a>' in page
    assert "Profile nano, 8 trials." in section
    assert "torn" not in text + section
