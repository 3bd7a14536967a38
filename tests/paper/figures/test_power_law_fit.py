"""Power laws: known ones are found, and what is none is said."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import fake_params, write_core
from PIL import Image
from remeasured import remeasure

from gigatok.config import GigatokError
from gigatok.paper.figures import power_laws
from gigatok.paper.figures.power_law_fit import Point, PowerLaw, fit
from gigatok.paper.figures.power_laws import write_scaling_laws
from gigatok.paper.figures.style import MIXED
from gigatok.paper.results.reader import Results
from gigatok.planning.flops import training_flops

X = np.array([1e6, 2e6, 5e6, 1e7, 4e7])


def planted(noise=0.0, width=None, seed=0):
    rng = np.random.default_rng(seed)
    y = 3.0 + 8.0 * (X / X[0]) ** -0.5 + noise * rng.standard_normal(len(X))
    return [Point(x, v, (v - width, v + width) if width else None) for x, v in zip(X, y, strict=True)]


def test_a_planted_law_is_recovered():
    law = fit(planted())
    assert isinstance(law, PowerLaw)
    assert (law.a, law.b, law.c) == pytest.approx((8.0, 0.5, 3.0), rel=1e-3)
    assert law.r2 == pytest.approx(1.0)
    assert law(4e6) == pytest.approx(7.0, rel=1e-3)
    assert (law.a_interval, law.b_interval, law.c_interval, law.band(X)) == (None, None, None, None)


def test_other_planted_laws_are_recovered_whatever_their_unit():
    for a, b, c, scale in ((0.3, 0.2, 0.1, 1.0), (500.0, 1.5, 40.0, 1e12)):
        law = fit([Point(x * scale, c + a * (x / X[0]) ** -b) for x in X])
        assert isinstance(law, PowerLaw)
        assert (law.a, law.b, law.c) == pytest.approx((a, b, c), rel=1e-2)


def test_intervals_hold_the_planted_law_and_grow_with_the_scores_own():
    narrow, wide = fit(planted(0.05, 0.1)), fit(planted(0.05, 0.4))
    assert isinstance(narrow, PowerLaw)
    assert isinstance(wide, PowerLaw)
    assert narrow.b_interval is not None
    assert wide.b_interval is not None
    assert narrow.c_interval is not None
    assert narrow.b_interval[0] < 0.5 < narrow.b_interval[1]
    assert narrow.c_interval[0] < 3.0 < narrow.c_interval[1]
    assert wide.b_interval[1] - wide.b_interval[0] > narrow.b_interval[1] - narrow.b_interval[0]
    band = narrow.band(X)
    assert band is not None
    low, high = band
    assert (low <= narrow(X) + 0.2).all()
    assert (high >= narrow(X) - 0.2).all()


@pytest.mark.parametrize(
    ("points", "text"),
    [
        (planted()[:3], "too few points (3 of 4)"),
        ([Point(x, 2.0) for x in X], "no power law: the metric does not change"),
        ([Point(x, x / 1e6) for x in X], "no power law: no falling curve fits"),
        ([Point(x, v) for x, v in zip(X, (5, 1, 5, 1, 4), strict=True)], "no falling curve fits"),
        ([Point(p.x, p.y, (p.y - 60, p.y + 60)) for p in planted()], "bootstrap draws fit no falling curve"),
        ([Point(x, 9 - 0.01 * np.log(x / X[0])) for x in X], "the exponent is undetermined (0.01 to 0.01)"),
        ([Point(x, 1.0 + (x == X[0])) for x in X], "the exponent is undetermined (8 to 8)"),
        ([Point(x, v, (v - 1, v + 1)) for x, v in zip(X, 3 + 8 * (X / X[0]) ** -3, strict=True)], "to 8)"),
    ],
)
def test_what_is_no_law_is_said(points, text):
    assert text in str(fit(points))


def test_figure_and_tables_show_ours_and_the_papers_points(tmp_path):
    write_core(tmp_path / "runs")
    drawn = write_scaling_laws(Results(tmp_path / "runs", fake_params()), tmp_path)
    assert drawn.file.stat().st_size > 5000
    text = (tmp_path / "tables" / "scaling-law.md").read_text()
    assert "| rFID | tokenizer parameters | 5 |" in text
    assert "| rFID, the paper's | tokenizer parameters (paper) | 4 |" in text
    assert len((tmp_path / "tables" / "scaling-law.csv").read_text().splitlines()) == 13


def panels(law: PowerLaw | str) -> list[tuple[str, str, list[Point], PowerLaw | str]]:
    return [(f"metric {n}", "training FLOPs", planted(), law) for n in range(2)]


def test_series_without_any_law_are_one_sentence_in_the_place_of_panels(tmp_path, monkeypatch):
    """A page of empty panels said nothing; a row with one law is drawn whole."""
    law = fit(planted())
    assert isinstance(law, PowerLaw)
    heights, drawn = [], []
    monkeypatch.setattr(power_laws, "_panel", lambda axes, *, ours, **_: drawn.append(ours))
    for middle in ("no power law: flat", law):
        columns = [
            list(column) for column in zip(panels("no power law: flat"), panels(middle), panels(law), strict=True)
        ]
        drawn.clear()
        power_laws._draw(columns, fake_params(), tmp_path / "law")
        heights.append(Image.open(tmp_path / "law.png").height)
        assert len(drawn) == (2 if middle != law else 4)
        assert drawn == [True] * (len(drawn) - 2) + [False] * 2
    assert heights[0] < heights[1]
    text = power_laws._without_law([*panels("no power law: flat"), *panels("too few points (3 of 4)")[:1]])
    assert text == "No power law against training FLOPs: flat (2 of 3); too few points (3 of 4) (1 of 3)."
    power_laws._draw([panels("no power law: flat")], fake_params(), tmp_path / "none")
    assert Image.open(tmp_path / "none.png").height < 150
    assert power_laws._without_law([]) == ""


def test_generation_is_the_papers_guided_gfid(tmp_path):
    write_core(tmp_path / "runs")
    drawn = write_scaling_laws(Results(tmp_path / "runs", fake_params()), tmp_path)
    assert "gfid" not in {score.metric.split("/")[0] for score in drawn.scores}
    text = (tmp_path / "tables" / "scaling-law.md").read_text()
    assert "| gFID, guided | training FLOPs | 5 |" in text
    assert "| gFID, guided, the paper's | tokenizer parameters (paper) | 4 |" in text


def test_scores_measured_differently_make_no_law(tmp_path):
    write_core(tmp_path / "runs")
    remeasure(tmp_path / "runs" / "tokenizers" / "B-L", "rfid", sample_count=10)
    with pytest.raises(GigatokError, match=r"rfid.*measured differently, in sample_count: 567 \| 10.*report\.force"):
        write_scaling_laws(Results(tmp_path / "runs", fake_params()), tmp_path)
    write_scaling_laws(Results(tmp_path / "runs", fake_params(report={"force": True})), tmp_path)
    text = (tmp_path / "tables" / "scaling-law.md").read_text()
    assert text.count(f"| 5 | - | {MIXED} |") == 2


def test_training_compute_follows_steps_and_size():
    params = fake_params()
    small, large = training_flops(params, "S-S"), training_flops(params, "XL-XXL")
    assert large > 2 * small
    assert small > 3 * 1000 * 16 * 1e6
    assert training_flops(params, "S-S-no-sem") == small


def test_equal_points_give_equal_draws():
    first, second = fit(planted(0.05, 0.1)), fit(planted(0.05, 0.1))
    assert isinstance(first, PowerLaw)
    assert isinstance(second, PowerLaw)
    assert (first.curves == second.curves).all()


def test_lpips_takes_the_place_of_the_profiles_own_distance(tmp_path):
    from gigatok.artifacts import ScoreSheet

    write_core(tmp_path / "runs")
    for path in (tmp_path / "runs" / "tokenizers").glob("*/summary.json"):
        sheet = ScoreSheet.read(path)
        lpips = sheet.scores[0].replace(metric="lpips/vgg16", value=0.2, interval=None)
        sheet.model_copy(update={"scores": (*sheet.scores, lpips)}).write(path)
    write_scaling_laws(Results(tmp_path / "runs", fake_params()), tmp_path)
    text = (tmp_path / "tables" / "scaling-law.md").read_text()
    assert "| LPIPS | training FLOPs | 5 | - | no power law: the metric does not change |" in text
    assert "Perceptual" not in text
