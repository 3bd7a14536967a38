"""The first screen: sentences that follow the results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from fake_runs import fake_params, full_params, write_core, write_trainings

from gigatok.artifacts import ScoreSheet
from gigatok.config import Params
from gigatok.paper.claims.ledger import check_claims
from gigatok.paper.claims.questions import answers
from gigatok.paper.report.summary.costs import all_needs, spent
from gigatok.paper.report.summary.first_screen import (
    Said,
    decides_nothing,
    first_screen,
    found,
    not_found,
    scale_sentence,
    what_was_run,
)
from gigatok.paper.results.predictors import predictions
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows


def screen(params: Params, runs: Path) -> dict[str, tuple[Said, ...]]:
    """What stands under each heading."""
    results = Results(runs, params)
    rows, claims = series_rows(results), check_claims(results)
    said = answers(rows, params, claims, predictions(results))
    blocks = first_screen(rows, params, claims, said, spent(results, all_needs(params)))
    return {block.title: block.said for block in blocks}


def test_what_tests_decided_comes_first_with_a_link_to_its_evidence(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    said = screen(params, tmp_path)
    first = said["What was found"][0]
    assert (first.outcome, first.look, first.link) == ("confirmed", "yes", "claims/dilemma.html")
    assert first.text == "Without semantic regularization a larger tokenizer reconstructs better but generates worse."
    assert "Lowest rFID: XL-XXL, 52.57 (mean image 310.0, k-means patches 48.00)." in [
        each.text for each in said["What was found"]
    ]
    assert re.match(r"rFID, B-L-no-sem minus S-S-no-sem: -12 \((corrected )?p ", first.numbers)
    assert first.numbers.count("p ") >= 3
    fall = next(each for each in said["What was found"] if each.text.startswith("rFID falls"))
    assert fall.numbers.startswith("rFID, XL-XXL minus S-S: -18 (")
    (run,), (cost,) = said["What was run"], said["What it cost"]
    assert "9 of 9 tokenizers of the scaling series were run" in run.text
    assert "550K to 8M parameters; each recipe was trained with 3 seeds." in run.text
    assert cost.text.startswith("48 minutes on CPUs, over 54 trainings")
    assert cost.text.endswith("hours of one H100 (planned).")
    assert said["Look at next"][0].link == "claims/cure.html"  # the one that the runs contradict


def test_one_training_decides_nothing_and_says_what_would(tmp_path: Path) -> None:
    write_core(tmp_path)
    said = screen(fake_params(), tmp_path)
    once, lacking, *lowest = said["What was not found"]
    assert once.text == "Undecided, since recipes were trained once (2 of 10 claims): dilemma, cure."
    assert lacking.text.startswith("Not run, or not all of it (8 of 10 claims)")
    (nothing,) = said["What was found"]
    assert nothing.text == "Nothing: each recipe was trained once, and one training decides nothing."
    assert all(each.text.endswith("Of one training each: another one may change the order.") for each in lowest)
    assert [each.text.split(",")[0] for each in lowest] == [
        "Lowest rFID: XL-XXL",
        "Lowest gFID: XL-XXL",
        "Lowest gFID",  # guided
    ]
    assert [each.command for each in said["Look at next"] if each.command] == [
        "gigatok-bench profile nano --suite core --seeds 0,1,2 && make repro",
        "gigatok-bench profile nano --suite full && make repro",
    ]


def test_nothing_run_is_said_so(tmp_path: Path) -> None:
    said = screen(fake_params(), tmp_path)
    assert said["What was run"][0].text.startswith("0 of 9 tokenizers")
    assert said["What was found"] == (Said("Nothing yet: no run has scores."),)
    assert said["What it cost"][0].text.startswith("Nothing yet. At the paper's scale")


def test_the_scale_is_said_with_its_largest_differences() -> None:
    text = scale_sentence(fake_params())
    assert "emoji by three designers (embedded) instead of ImageNet-1k 256x256, 32 px instead of 256 px" in text
    assert "None of these numbers is the paper's or comparable with it." in text
    assert "proxy" not in scale_sentence(fake_params(profile="paper"))


def test_ablations_of_the_full_suite_are_counted(tmp_path: Path) -> None:
    write_core(tmp_path)
    params = full_params()
    rows = series_rows(Results(tmp_path, params))
    more = len(params.tokenizers) - len(rows)
    assert f"The settings hold {more} further recipes for ablations." in what_was_run(rows, params)


def test_repeats_are_no_further_recipes(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    assert len(params.tokenizers) == 27
    text = what_was_run(series_rows(Results(tmp_path, params)), params)
    assert text.endswith("each recipe was trained with 3 seeds.")


def test_k_means_that_wins_is_told_without_a_verdict_that_reads_backwards(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    for path in (tmp_path / "tokenizers").iterdir():  # so that PSNR spreads over trainings, too
        sheet = ScoreSheet.read(path / "summary.json")
        shift = len(path.name) % 7 / 100 + ("seed2" in path.name) / 50
        scores = [each.replace(value=each.value + shift) if each.metric == "psnr" else each for each in sheet.scores]
        sheet.model_copy(update={"scores": tuple(scores)}).write(path / "summary.json")
    found = {each.text: each for each in screen(params, tmp_path)["What was found"]}
    told = found["K-means over patches at the same rate wins 18 of 18 comparisons with trained tokenizers."]
    assert (told.outcome, told.link) == ("", "#statements")
    assert not any(each.startswith("The trained tokenizers beat") for each in found)


def decided_nothing(params: Params, runs: Path) -> bool:
    results = Results(runs, params)
    rows, claims = series_rows(results), check_claims(results)
    return decides_nothing(rows, claims, answers(rows, params, claims, predictions(results)))


def test_a_report_of_single_trainings_decides_nothing(tmp_path: Path) -> None:
    assert not decided_nothing(fake_params(), tmp_path)  # nothing was run
    write_core(tmp_path / "once")
    assert decided_nothing(fake_params(), tmp_path / "once")
    params = write_trainings(tmp_path / "often", [0.0, 0.5, 1.2])
    assert not decided_nothing(params, tmp_path / "often")


def test_every_claim_is_found_or_not_found(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    claims = check_claims(Results(tmp_path, params))
    open_ones = " ".join(each.text for each in not_found(claims))
    for each in claims:
        decided = each.verdict.outcome in ("confirmed", "contradicted")
        assert (each.claim.key in open_ones) is not decided
    assert not_found([each for each in claims if each.verdict.outcome == "confirmed"])[0].text.startswith("Nothing was")


def test_statements_that_chance_may_explain_are_told_as_not_found(tmp_path: Path) -> None:
    params = write_trainings(tmp_path, [-40.0, 0.0, 40.0])
    texts = [each.text for each in screen(params, tmp_path)["What was not found"]]
    assert any(text.startswith("Tested, without a clear difference: rFID falls from the smallest") for text in texts)
    assert not any(each.text.startswith("rFID falls") for each in screen(params, tmp_path)["What was found"])


def test_what_is_decided_of_an_undecided_claim_is_told(tmp_path: Path) -> None:
    """All comparisons of a claim must hold; those that do are findings of their own."""
    params = write_trainings(tmp_path, [0.0, 0.5, 1.2])
    results = Results(tmp_path, params)
    rows, claims = series_rows(results), check_claims(results)
    (whole,) = (each for each in claims if each.claim.key == "dilemma")
    assert whole.verdict.outcome == "confirmed"
    unclear = replace(whole.findings[0], verdict=replace(whole.verdict, outcome="no clear difference"))
    part = replace(whole, findings=(unclear, *whole.findings[1:]), verdict=unclear.verdict)
    (told,) = found(rows, [part], [])[:1]
    count = len(whole.findings)
    assert told.text == f"{count - 1} of {count} comparisons of the claim 'dilemma' are confirmed."
    assert told.link == "claims/dilemma.html"
    assert told.numbers.count("minus") == count - 1
