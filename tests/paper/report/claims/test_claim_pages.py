"""One page a claim: evidence as judged, the criterion with its date, cost, and the command that makes its runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_runs import fake_params, full_params, write_core, write_trainings
from PIL import Image

from gigatok.paper.claims.catalogue import Claim, all_claims
from gigatok.paper.claims.comparisons import Contrast
from gigatok.paper.claims.criteria import fix_criteria
from gigatok.paper.claims.ledger import check_claims
from gigatok.paper.claims.verdict import OUTCOMES
from gigatok.paper.figures.written import WrittenFigure
from gigatok.paper.report.claims.evidence import evidence
from gigatok.paper.report.claims.figures import PAPERS, claim_figure_files, figure_of
from gigatok.paper.report.claims.needs import claim_needs, command, seeds_command, tokenizers_of
from gigatok.paper.report.claims.page import PRINTED, ClaimPage, claim_values, criteria_date, printed
from gigatok.paper.report.page import render_claim
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.specs import TABLES


def claim(key: str) -> Claim:
    return next(each for each in all_claims(full_params()) if each.key == key)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Pages over three trainings of each recipe of suite ``core``, with recorded criteria; their figures are blank."""
    folder = tmp_path_factory.mktemp("project")
    params = write_trainings(folder / "runs", [0.0, 0.5, 1.2])
    fix_criteria(folder / "runs", params, datetime(2025, 3, 4, tzinfo=UTC))
    results = Results(folder / "runs", params)
    entries = check_claims(results)
    figures = [WrittenFigure(number, "title", folder / f"fig{number:02d}.png", ()) for number in PAPERS.values()]
    names = {each.file.name for each in figures} | {
        f"{Path(name).stem}.png" for each in entries for name in claim_figure_files(each.claim)
    }
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)
        if "pictures" not in name:
            (folder / name).with_suffix(".svg").write_text('<svg width="3pt" height="3pt"></svg>')
    content: Any = SimpleNamespace(
        claim_pages=[ClaimPage(entry=entry, results=results, figure_scores=()) for entry in entries],
        criteria="",
        figures=figures,
    )
    page: Any = SimpleNamespace(params=params, paper=content, figures=folder)
    return {entry.claim.key: render_claim(page, place) for place, entry in enumerate(entries)}


def text_of(page: str) -> str:
    """What a reader sees, without tags and pictures."""
    body = re.sub(r"<(style|script).*?</\1>|<img.*?>", "", page, flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)))


def test_a_page_holds_all_that_a_reviewer_asks_for(pages: dict[str, str]) -> None:
    text = text_of(pages["dilemma"])
    for part in (
        "Without semantic regularization a larger tokenizer reconstructs better but generates worse (figure 3).",
        "confirmed Every comparison lies on the paper's side, beyond chance. 3 of 3 on the paper's side.",
        "Criterion: fixed on 2025-03-04 (SHA-256",
        "All must hold at 5% after Holm's correction over 3 comparisons; an interval is of its comparison alone.",
        "95% interval of this comparison alone",
        "The same by the spread over all recipes",
        "rFID of B-L-no-sem is lower than that of S-S-no-sem",
        "3 each (seeds 0, 1, 2)",
        "Figure 3 shows it as curves and prints no numbers.",
        "on CPUs for 12 runs",
        "of one H100 (planned)",
        "gigatok-bench repro evaluate_tokenizer@B-L-no-sem",
        "None of these numbers is the paper's",
    ):
        assert part in text, part


def test_the_table_shows_the_numbers_that_decided(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    results = Results(tmp_path, params)
    entry = next(each for each in check_claims(results) if each.claim.key == "dilemma")
    for row, finding in zip(evidence(entry.findings, results), entry.findings, strict=True):
        assert finding.effect is not None
        assert finding.interval is not None
        assert finding.corrected_p is not None
        assert finding.smallest_detectable is not None
        assert float(row.effect) == pytest.approx(finding.effect, rel=1e-2)
        assert [float(end) for end in row.interval.split(" to ")] == pytest.approx(list(finding.interval), rel=1e-2)
        assert float(row.smallest_detectable) == pytest.approx(finding.smallest_detectable, rel=1e-2)
        assert row.corrected_p == "below 0.001" or float(row.corrected_p) == pytest.approx(finding.corrected_p, rel=0.1)
        assert row.verdict == str(finding.verdict)


def test_one_training_leaves_the_columns_of_a_test_empty(tmp_path: Path) -> None:
    write_core(tmp_path)
    results = Results(tmp_path, fake_params())
    entry = next(each for each in check_claims(results) if each.claim.key == "dilemma")
    row = evidence(entry.findings, results)[0]
    assert (row.interval, row.corrected_p, row.smallest_detectable) == ("-", "-", "-")
    assert row.values == "60.00 and 72.00"
    assert row.effect == "-12"
    assert row.trainings == "1 each (seed 0)"
    values = claim_values(ClaimPage(entry=entry, results=results, figure_scores=()))
    assert values["meaning"].startswith("Not tested: a recipe was trained once")
    assert values["seeds_command"][0].endswith("--seeds 0,1,2 --only B-L-no-sem,S-S-no-sem")


def test_every_outcome_has_a_sentence(tmp_path: Path) -> None:
    from gigatok.paper.report.claims.page import _MEANING

    assert set(OUTCOMES) - set(_MEANING) == {"undecided"}


def test_points_are_said_of_percentages(pages: dict[str, str]) -> None:
    assert "+0 points" in text_of(pages["cure"])


def test_commands_make_the_claims_runs_and_no_others() -> None:
    params = full_params()
    (line,) = command(claim("dilemma"), params)
    assert line == (
        "gigatok-bench repro evaluate_tokenizer@B-L-no-sem evaluate_tokenizer@S-S-no-sem "
        "evaluate_generator@B-L-no-sem evaluate_generator@S-S-no-sem"
    )
    assert command(claim("decoder-over-encoder"), fake_params())[0] == "gigatok-bench profile nano --suite full"
    assert command(claim("decoder-over-encoder"), params) == command(claim("decoder-over-encoder"), fake_params())[1:]


def test_commands_name_every_seed(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 1.0])
    lacking = command(claim("decoder-over-encoder"), params)[0]
    assert lacking == "gigatok-bench profile nano --suite full --seeds 0,1"
    (line,) = command(claim("dilemma"), params)
    assert "evaluate_generator@B-L-no-sem-seed1" in line.split()


@pytest.mark.parametrize("each", all_claims(full_params()), ids=lambda each: each.key)
def test_the_runs_of_every_claim_are_known_entries(each: Claim) -> None:
    params = full_params()
    missing = {"S-S-layer4"}  # these small decoders have three layers
    for kind, name in claim_needs(each):
        assert name in (params.tokenizers if kind == "tokenizer" else params.generators) or name in missing
    assert set(tokenizers_of(each, params)) <= {*params.tokenizers, *missing}
    assert "--only" in seeds_command(each, params)[0]


@pytest.mark.parametrize("each", all_claims(full_params()), ids=lambda each: each.key)
def test_every_claim_has_a_figure(each: Claim) -> None:
    assert figure_of(each) is not None
    assert (each.key in PAPERS) is not any(name.endswith(".svg") for name in claim_figure_files(each))


def test_printed_tables_are_about_the_runs_of_the_claim() -> None:
    params = full_params()
    for key, number in PRINTED.items():
        table = next(spec for spec in TABLES if spec.number == number)
        rows = {name for line in table.lines for name in line.runs(params)}
        known = {name for each in claim(key).contrasts for name in (each.left, each.right)}
        assert known <= rows


def test_what_the_paper_prints_stands_beside_ours(tmp_path: Path) -> None:
    write_core(tmp_path)
    found = printed(claim("decoder-over-encoder"), Results(tmp_path, fake_params()))
    assert "Table 2 of the paper: Scaling encoder or decoder." in found["says"]
    row = next(row for row in found["rows"] if row["label"] == "S-L")
    assert row["cells"][0] == ("0.83", "60 [58.8, 61.2]")
    probing = printed(claim("ar-probing"), Results(tmp_path, fake_params()))["says"]
    assert "R2 0.99" in probing
    assert "R2 0.80" in probing


def test_criteria_that_were_not_recorded_are_said_so(tmp_path: Path) -> None:
    one = claim("dilemma")
    assert criteria_date(one, tmp_path) == "Not recorded before these runs."
    fix_criteria(tmp_path, full_params(), datetime(2025, 3, 4, tzinfo=UTC))
    assert criteria_date(one, tmp_path).startswith("Fixed on 2025-03-04")
    changed = Claim(one.key, one.text, (Contrast("rfid", "B-L", "<", "S-S"),))
    assert criteria_date(changed, tmp_path).startswith("Not the recorded ones")


def test_pages_lead_through_all_claims(pages: dict[str, str]) -> None:
    for before, after in pairwise(pages):
        assert f'<a href="{after}.html" rel="next">' in pages[before]
        assert f'<a href="{before}.html" rel="prev">' in pages[after]
