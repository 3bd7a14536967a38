"""The scaling plots: series, floors, files."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_runs import fake_params, full_params, write_core, write_tokenizer, write_trainings

from gigatok.paper.figures import scaling, style
from gigatok.paper.figures.scaling import plot_metric, plotted_columns, write_scaling_plots
from gigatok.paper.results.metrics import find_metric
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows
from gigatok.paper.text import compact


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return series_rows(Results(runs, fake_params()))


def draw(rows, key):
    with style.figure(4, 3) as drawing:
        axes = drawing.add_subplot()
        plot_metric(axes, rows, find_metric(key))
    return axes


def test_two_series_over_a_log_axis(rows):
    axes = draw(rows, "gfid")
    assert axes.get_xscale() == "log"
    assert axes.get_legend_handles_labels()[1] == ["with semantic regularization", "without semantic regularization"]
    with_it, without = (container[0].get_xydata().tolist() for container in axes.containers)
    assert with_it[0] == [550_000, 120]
    assert len(with_it) == 6
    assert without == [[550_000, 118], [1_600_000, 127], [2_000_000, 136]]


def test_no_line_goes_through_a_size_whose_encoder_is_the_larger_part(tmp_path):
    write_core(tmp_path)
    write_tokenizer(tmp_path, "B-S", rfid=75, psnr=17)
    axes = draw(series_rows(Results(tmp_path, full_params())), "rfid")
    assert "B-S" in [text.get_text() for text in axes.texts]
    ladder, aside, without = (container[0] for container in axes.containers)
    assert (ladder.get_linestyle(), len(ladder.get_xdata())) == ("-", 6)
    assert (aside.get_linestyle(), len(aside.get_xdata())) == ("None", 1)
    assert len(without.get_xdata()) == 3


def test_sizes_of_ones_own_are_plotted(rows):
    axes = draw([replace(rows[0], tokenizer="M-N"), *rows[1:]], "rfid")
    assert "M-N" in [text.get_text() for text in axes.texts]


def test_floors_are_dashed_and_named(rows):
    axes = draw(rows, "psnr")
    texts = [text.get_text() for text in axes.texts]
    assert "k-means patches 21.9" in texts
    assert "mean image 9.1 (off the scale)" in texts
    low, high = axes.get_ylim()
    assert low < 21.9 < high
    assert not low < 9.1 < high


def test_percent_axis_is_scaled_with_its_floor(rows):
    axes = draw(rows, "linear_probe_accuracy")
    assert axes.containers[0][0].get_ydata()[0] == pytest.approx(48)
    assert axes.get_ylabel() == "%"


def test_nothing_run_says_so_instead_of_zero(tmp_path):
    axes = draw(series_rows(Results(tmp_path, fake_params())), "rfid")
    assert [text.get_text() for text in axes.texts] == ["not run"]
    assert not axes.containers


def test_a_single_run_stands_on_no_axis_of_parameters(tmp_path):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=18)
    axes = draw(series_rows(Results(tmp_path, fake_params())), "psnr")
    assert axes.get_xscale() == "linear"
    assert not axes.get_xlabel()
    assert not len(axes.get_xticks())


def test_trainings_stand_behind_their_mean(tmp_path):
    params = write_trainings(tmp_path, (0.0, 6.0, 3.0))
    axes = draw(series_rows(Results(tmp_path, params)), "rfid")
    singles = next(line for line in axes.lines if len(line.get_xdata()) == 18)
    assert sorted(singles.get_ydata()[:3]) == [70, 73, 76]
    assert axes.containers[0][0].get_ydata()[0] == 73


def test_files_are_complete_and_the_same_each_time(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "PLOTTED", ("psnr",))
    written = write_scaling_plots(rows, tmp_path / "a")
    write_scaling_plots(rows, tmp_path / "b")
    assert len(written) == len(plotted_columns()) + 1
    for path in written:
        for file in (path.with_suffix(f".{kind}") for kind in style.FORMATS):
            assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


def test_files_carry_no_date(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(scaling, "PLOTTED", ())
    write_scaling_plots(rows[:2], tmp_path)
    assert "<dc:date>" not in (tmp_path / "scaling.svg").read_text()
    assert b"CreationDate" not in (tmp_path / "scaling.pdf").read_bytes()


@pytest.mark.parametrize(("count", "text"), [(550_000, "550K"), (2_893_970_443, "2.89B"), (12, "12")])
def test_counts_are_compact(count, text):
    assert compact(count) == text
