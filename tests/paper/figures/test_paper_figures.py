"""The paper's figures over fake runs."""

from __future__ import annotations

import pytest
from fake_runs import fake_params, full_params, write_core, write_generator, write_trainings
from remeasured import remeasure

from gigatok.config import GigatokError
from gigatok.paper.figures import paper_figures
from gigatok.paper.figures.paper_figures import write_paper_figures
from gigatok.paper.figures.series import Series, Spot
from gigatok.paper.figures.style import MIXED
from gigatok.paper.figures.written import ShownScores
from gigatok.paper.results.metrics import PAPER_GFID
from gigatok.paper.results.reader import Results


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("figures")
    write_core(runs)
    return runs, write_paper_figures(Results(runs, fake_params()), out)


def test_every_figure_has_both_forms(written):
    files = [each.file for each in written[1]]
    assert [path.stem for path in files] == ["fig03", "fig05", "fig06", "fig07", "fig09", "fig12", "fig13"]
    assert all(path.with_suffix(".svg").stat().st_size > 1000 for path in files)


def test_a_figure_names_the_scores_it_shows_and_no_others(written):
    shown = {
        each.number: {(score.provenance.run, score.metric.split("/")[0]) for score in each.scores}
        for each in written[1]
    }
    sizes = ("S-S-no-sem", "S-L-no-sem", "B-L-no-sem")
    assert shown[3] == {(name, metric) for name in sizes for metric in ("rfid", "ar_val_loss", "gfid_best_cfg")}
    assert shown[5] == set()
    assert {name for name, _ in shown[9]} == {"S-S", "S-B", "B-L"}


def test_reader_takes_each_metric_from_its_owner(written):
    reader = ShownScores(Results(written[0], fake_params()))
    spot = Spot(0, "S-S", "S-L")
    rfid, gfid = reader.score(spot, "rfid"), reader.score(spot, "gfid")
    assert rfid is not None
    assert gfid is not None
    assert (rfid.value, gfid.value) == (70, 110)
    assert reader.score(spot, "lpips") is None


def test_series_are_plain_data():
    assert Series("a", (Spot(1, "x", "x"),)).spots[0].x == 1


@pytest.fixture
def panels(monkeypatch):
    """Title and texts of every panel that is saved, by figure."""
    kept = {}

    def keep(drawing, stem):
        kept[stem.name] = {
            axes.get_title(loc="left").split(" (")[0]: [text.get_text() for text in axes.texts] for axes in drawing.axes
        }

    monkeypatch.setattr(paper_figures.style, "save", keep)
    return kept


def test_what_was_not_run_is_said_under_a_figure(written, monkeypatch, tmp_path):
    legends, notes = {}, {}

    def keep(drawing, stem):
        of_panels = [axes.get_legend() for axes in drawing.axes if axes.get_legend()]
        legends[stem.name] = [text.get_text() for each in (*drawing.legends, *of_panels) for text in each.get_texts()]
        notes[stem.name] = " ".join(text.get_text() for text in drawing.texts)

    monkeypatch.setattr(paper_figures.style, "save", keep)
    write_paper_figures(Results(written[0], fake_params()), tmp_path)
    assert legends["fig09"] == ["1D"]
    assert notes["fig09"] == "Proxy scale: profile nano. Not run: 2D."
    assert legends["fig07"] == ["with semantic regularization", "without semantic regularization"]
    assert "Figure 13 needs runs that are not there" not in notes["fig13"]
    assert "Not run: the tokenizer without entropy loss." in notes["fig05"].replace("\n", " ")
    assert notes["fig06"].startswith("Figure 6 needs tokenizers with two AR models, which are not there.")


def test_an_absent_figure_is_a_sentence_and_no_box(tmp_path, monkeypatch):
    axes = {}
    monkeypatch.setattr(paper_figures.style, "save", lambda drawing, stem: axes.update({stem.name: drawing.axes}))
    write_paper_figures(Results(tmp_path / "runs", fake_params()), tmp_path)
    assert len(axes) == 7
    assert not any(axes.values())


def test_figure_6_shows_how_sure_its_correlation_is(panels, tmp_path):
    write_core(tmp_path)
    for name, gfid in (("S-S", 130), ("S-L", 118), ("B-L", 111)):
        write_generator(tmp_path, f"{name}-GPT-XL", gfid=gfid, loss=4)
    write_paper_figures(Results(tmp_path, full_params()), tmp_path)
    assert any("over 3 points (paper 0.99)\nr +1.00 [-1.00, +1.00]" in text for text in panels["fig06"]["gFID, guided"])
    assert "too few points for R² (paper 0.80)" in panels["fig06"]["Linear probe"]  # all equal


def test_figure_6_sets_both_ar_models_on_the_same_tokens_side_by_side(tmp_path):
    params = write_trainings(tmp_path, (0, 40, 80))
    sizes = ("S-S", "S-L", "B-L")
    for place, name in enumerate(sizes):
        write_generator(tmp_path, f"{name}-GPT-XL", gfid=90 - place, loss=4)
    larger = {name: each for name, each in full_params().generators.items() if name.endswith("-GPT-XL")}
    params = params.model_copy(update={"generators": {**params.generators, **larger}})
    drawn = next(each for each in write_paper_figures(Results(tmp_path, params), tmp_path) if each.number == 6)
    shown = {score.provenance.run: score.value for score in drawn.scores if score.metric.startswith(PAPER_GFID)}
    first = Results(tmp_path, fake_params())  # of the first training alone
    assert shown == {name: first.score(name, PAPER_GFID).value for name in sizes} | {
        f"{name}-GPT-XL": 86.0 - place for place, name in enumerate(sizes)
    }


def test_figures_show_the_papers_guided_gfid(written, panels, tmp_path):
    drawn = write_paper_figures(Results(written[0], fake_params()), tmp_path)
    for number in (3, 7, 9, 12, 13):
        assert "gFID, guided" in panels[f"fig{number:02d}"]
    shown = {score.metric.split("/")[0] for each in drawn for score in each.scores}
    assert PAPER_GFID in shown
    assert "gfid" not in shown


def test_scores_measured_differently_are_refused_or_said(panels, tmp_path):
    write_core(tmp_path)
    remeasure(tmp_path / "tokenizers" / "B-L", "rfid", sample_count=10)
    with pytest.raises(GigatokError, match=r"sample_count: 567 \| 10.*report\.force"):
        write_paper_figures(Results(tmp_path, fake_params()), tmp_path)
    write_paper_figures(Results(tmp_path, fake_params(report={"force": True})), tmp_path)
    assert MIXED in panels["fig07"]["rFID"]
    assert MIXED in panels["fig09"]["rFID"]
    assert MIXED not in panels["fig07"]["gFID, guided"]
    assert panels["fig03"]["rFID"] == ["S-S", "S-L", "B-L"]


def test_each_run_may_have_its_own_guidance_but_not_its_own_judge(panels, tmp_path):
    write_core(tmp_path)
    remeasure(tmp_path / "generators" / "B-L", PAPER_GFID, sampler={"cfg_scale": 1.5})
    write_paper_figures(Results(tmp_path, fake_params()), tmp_path)
    remeasure(tmp_path / "generators" / "B-L", PAPER_GFID, extractor_size=99)
    with pytest.raises(GigatokError, match=r"gfid_best_cfg.* in extractor_size: 260 \| 99: measure"):
        write_paper_figures(Results(tmp_path, fake_params()), tmp_path)


def test_the_sampler_may_differ_of_guided_scores_only(tmp_path):
    write_core(tmp_path)
    remeasure(tmp_path / "generators" / "B-L", "ar_val_loss", sampler={"cfg_scale": 1.5})
    with pytest.raises(GigatokError, match=r"ar_val_loss.* in sampler"):
        write_paper_figures(Results(tmp_path, fake_params()), tmp_path)


def test_figure_6_compares_along_each_axis_only(panels, tmp_path):
    write_core(tmp_path)
    for name in ("S-S", "S-L", "B-L"):
        write_generator(tmp_path, f"{name}-GPT-XL", gfid=90, loss=4)
        remeasure(tmp_path / "generators" / f"{name}-GPT-XL", "linear_probe_accuracy", probe="block 3 of 6")
    write_paper_figures(Results(tmp_path, full_params()), tmp_path)
    assert all(MIXED not in texts for texts in panels["fig06"].values())
    remeasure(tmp_path / "generators" / "S-L-GPT-XL", "linear_probe_accuracy", probe="block 4 of 6")
    with pytest.raises(GigatokError, match=r"linear_probe_accuracy.*block 3 of 6"):
        write_paper_figures(Results(tmp_path, full_params()), tmp_path)
    forced = full_params().model_copy(update={"report": full_params().report.replace(force=True)})
    write_paper_figures(Results(tmp_path, forced), tmp_path)
    assert [MIXED in texts for texts in panels["fig06"].values()] == [False, True]


def test_checkpoints_are_those_that_were_kept():
    params = full_params()
    kept = params.tokenizer_training("B-L").keep_steps
    fewer = params.model_copy(update={"train_tokenizer": params.train_tokenizer.replace(steps=kept[-1] + 1)})
    series = {each.label: each.spots for each in paper_figures.checkpoint_series(fewer)}
    assert [spot.x for spot in series["B-L"]] == [*kept, kept[-1] + 1]
    assert [spot.generator for spot in series["B-L"]] == [*(f"B-L-step{step}" for step in kept), "B-L"]


def test_a_tokenizer_without_settings_has_no_point():
    params = full_params()
    only = {name: entry for name, entry in params.tokenizers.items() if name != "B-L"}
    series = paper_figures.checkpoint_series(params.model_copy(update={"tokenizers": only}))
    assert [(each.label, bool(each.spots)) for each in series] == [("B-L", False), ("XL-XXL", True)]
