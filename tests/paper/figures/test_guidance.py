"""The guidance curve: which points a generator has, and what is said of its ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_params
from simulated import SCALES, simulate

from gigatok.artifacts import ScoreSheet
from gigatok.paper.figures import guidance, style
from gigatok.paper.figures.guidance import tried_scales, write_guidance
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows


@pytest.fixture
def results(tmp_path: Path) -> Results:
    simulate(tmp_path / "runs", fake_params())
    return Results(tmp_path / "runs", fake_params())


def resample(results: Results, name: str, scale: float, **sampler: object) -> None:
    """Change how the samples at a scale were drawn."""
    path = results.runs_root / "generators" / name / "summary.json"
    sheet = ScoreSheet.read(path)
    scores = [
        score.replace(protocol=score.protocol.replace(sampler={**score.protocol.sampler, **sampler}))
        if score.metric.startswith("gfid_cfg_") and score.protocol.sampler["cfg_scale"] == scale
        else score
        for score in sheet.scores
    ]
    sheet.model_copy(update={"scores": tuple(scores)}).write(path)


def test_a_curve_goes_from_no_guidance_to_the_largest_scale(results: Results) -> None:
    run = results.run("generator", "S-S")
    curve = tried_scales(run)
    assert tuple(each.scale for each in curve) == SCALES
    assert min(each.score.value for each in curve) == next(
        score.value for score in run.scores if score.metric.startswith("gfid_best_cfg")
    )


def test_a_curve_is_of_one_schedule(results: Results) -> None:
    resample(results, "S-S", 1.5, cfg_schedule="linear")
    assert [each.scale for each in tried_scales(results.run("generator", "S-S"))] == [1.0, 1.25, 2.0, 4.0]


def test_of_several_starts_the_best_counts(results: Results) -> None:
    resample(results, "S-S", 2.0, cfg_scale=4.0, cfg_start=0.3)
    known = {each.metric: each.value for each in results.single("generator", "S-S").scores}
    last = tried_scales(results.run("generator", "S-S"))[-1]
    assert last.scale == 4
    both = [value for name, value in known.items() if name.startswith(("gfid_cfg_2/", "gfid_cfg_4/"))]
    assert last.score.value == min(both)


def test_both_ends_are_on_the_axis(results: Results, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notes, ticks = [], []

    def keep(drawing, stem):  # type: ignore[no-untyped-def]
        notes.append(" ".join(text.get_text().replace("\n", " ") for text in drawing.texts))
        ticks.append([label.get_text() for label in drawing.axes[0].get_xticklabels()])

    monkeypatch.setattr(style, "save", keep)
    write_guidance(series_rows(results), fake_params(), tmp_path)
    assert (ticks[0][0], ticks[0][-1]) == ("1", "4")
    assert "Rings: the best scale of each generator." in notes[0]


def test_the_last_scale_being_best_is_said(results: Results) -> None:
    curve = tried_scales(results.run("generator", "S-S"))
    best = min(curve, key=lambda each: each.score.value)
    ending = [each for each in curve if each.scale <= best.scale]
    assert guidance._ends({"a": ending, "b": [*ending, curve[-1]]}) == [
        "The largest scale that was tried is the best of 1 of 2: a larger one may be better."
    ]
    none = curve[0]._replace(score=curve[0].score.replace(value=0.0))
    assert (none.scale, guidance._ends({"a": [none, *curve[1:]]})) == (1, ["No guidance is the best of 1 of 1."])


def test_scales_that_are_close_have_no_number() -> None:
    assert guidance._apart([1, 1.05, 1.5, 3.95, 4]) == [1, 1.5, 4]
    assert guidance._apart([1]) == [1]
