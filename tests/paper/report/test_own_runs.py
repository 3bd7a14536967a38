"""Tokenizers and generators of one's own stand beside the paper's: in tables, plots, pictures and on the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import PARAMETERS, fake_params, full_params, write_core, write_generator, write_tokenizer

from gigatok.config import Params
from gigatok.config.experiments import own_runs
from gigatok.config.suites import CORE_TOKENIZERS, default_generators
from gigatok.paper.figures import style
from gigatok.paper.figures.scaling import plot_metric
from gigatok.paper.report.build import build_report
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import ScalingRow, own_rows, scaling_rows, series_rows

pytestmark = pytest.mark.long(20)


def own_params() -> Params:
    """Suite ``core``, a tokenizer ``mine`` with its generator, and a second generator on S-S."""
    tokenizers = {**CORE_TOKENIZERS, "mine": {"encoder": "S", "decoder": "B"}}
    generators = {**default_generators(tokenizers), "S-S-long": {"tokenizer": "S-S", "overrides": {"steps": 2000}}}
    return fake_params(tokenizers=tokenizers, generators=generators)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_core(folder)
    PARAMETERS["mine"] = 777_000
    write_tokenizer(folder, "mine", rfid=61.0, psnr=17.0)
    write_generator(folder, "mine", gfid=101.0, loss=5.0)
    write_generator(folder, "S-S-long", gfid=99.0, loss=4.9)
    return folder


def test_what_the_suites_give_is_nobodys_own() -> None:
    assert own_runs(fake_params()) == ((), ())
    assert own_runs(full_params()) == ((), ())
    assert own_runs(own_params()) == (("mine",), ("S-S-long",))


def test_repeats_and_checkpoints_are_nobodys_own() -> None:
    tokenizers = {**CORE_TOKENIZERS, "S-S": {"encoder": "S", "decoder": "S", "seeds": [0, 1]}}
    tokenizers["S-S-seed1"] = {"encoder": "S", "decoder": "S", "seed": 1}
    tokenizers["B-L"] = {"encoder": "B", "decoder": "L", "overrides": {"keep_steps": [7]}}
    generators = {**default_generators(tokenizers), "B-L-step7": {"tokenizer": "B-L", "checkpoint": 7}}
    assert own_runs(fake_params(tokenizers=tokenizers, generators=generators)) == ((), ())


def test_each_has_a_row_with_its_scores(runs: Path) -> None:
    rows = own_rows(Results(runs, own_params()))
    assert [row.name for row in rows] == ["mine", "S-S, S-S-long"]
    assert [row.metrics["gfid/efficientnet-lite2"] for row in rows] == [101.0, 99.0]
    assert rows[0].params == 777_000


def test_the_whole_report_shows_them(runs: Path, tmp_path: Path) -> None:
    build_report(runs, own_params(), tmp_path)
    table = (tmp_path / "tables" / "scaling.md").read_text()
    assert table.index("## Your own runs") < table.index("| mine |")
    assert "| S-S, S-S-long |" in table
    for page in ("README.md", "index.html"):
        text = (tmp_path / page).read_text()
        assert "Your own runs" in text
        assert "S-S, S-S-long" in text
    own = json.loads((tmp_path / "tables" / "scaling.json").read_text())["own"]
    assert [(each["tokenizer"], each["generator"]) for each in own] == [("mine", "mine"), ("S-S", "S-S-long")]


def names_in_plot(rows: list[ScalingRow], own: list[ScalingRow], key: str) -> set[str]:
    """Texts beside the points of a plot."""
    metric = find_metric(key)
    assert metric is not None
    with style.figure(4.1, 3.2) as drawing:
        axes = drawing.add_subplot()
        plot_metric(axes, rows, metric, own=own)
        return {text.get_text() for text in axes.texts}


def test_plots_show_them_unless_they_were_measured_in_another_way(runs: Path) -> None:
    results = Results(runs, own_params())
    (mine, _), series = own_rows(results), series_rows(results)
    assert "mine" in names_in_plot(series, [mine], "rfid")
    name = "rfid/efficientnet-lite2"
    score = mine.scores[name]
    mine.scores[name] = score.replace(protocol=score.protocol.replace(sample_count=12))
    assert "mine" not in names_in_plot(series, [mine], "rfid")
    assert "mine" in names_in_plot(series, [mine], "psnr")


def test_rows_are_found_by_name_too(runs: Path) -> None:
    rows = scaling_rows(Results(runs, own_params()), ["s", "mine"])
    assert [row.tokenizer for row in rows] == ["S-S", "mine"]
