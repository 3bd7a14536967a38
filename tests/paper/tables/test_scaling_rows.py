"""Rows of the scaling table from run folders."""

from __future__ import annotations

import json

import pytest
from fake_runs import EXTRACTOR, fake_params, write_core, write_generator, write_reference, write_tokenizer

from gigatok.artifacts import ScoreSheet, write_json
from gigatok.cli.scaling_view import ScalingView
from gigatok.config import ConfigError
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import total_parameters
from gigatok.paper.tables.scaling_files import scaling_markdown
from gigatok.paper.tables.scaling_rows import scaling_rows, series_rows


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return runs


def test_rows_follow_the_sizes_asked_for(core):
    rows = scaling_rows(Results(core, fake_params()), ["3b", "s"])
    assert [(row.size, row.tokenizer, row.params) for row in rows] == [
        ("3b", "XL-XXL", 8_000_000),
        ("s", "S-S", 550_000),
    ]


def test_row_holds_both_sheets_and_their_times(core):
    (row,) = scaling_rows(Results(core, fake_params()), ["s"])
    assert row.metrics["psnr"] == 16.1
    assert row.metrics[f"gfid/{EXTRACTOR}"] == 120
    assert row.seconds == {"tokenizer": 61.5, "generator": 30.0, "evaluate": 15.0}
    assert row.images_per_second == {"tokenizer": 150.0, "generator": 900.0}


def test_kid_of_samples_and_of_reconstructions_keep_apart(core):
    (row,) = scaling_rows(Results(core, fake_params()), ["s"])
    assert row.metrics[f"kid/{EXTRACTOR}"] == 120 / 500
    assert row.metrics[f"reconstruction_kid/{EXTRACTOR}"] == 70 / 1000


def test_floors_stand_under_the_metric_and_baselines_beside_it(core):
    (row,) = scaling_rows(Results(core, fake_params()), ["s"])
    assert row.floors["psnr"] == 9.1
    assert row.floors["psnr (k-means patches)"] == 21.9
    assert row.floors[f"gfid/{EXTRACTOR}"] == 240.0
    assert row.floors["linear_probe_accuracy"] == 0.21


def test_missing_runs_have_no_numbers(tmp_path):
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert row.as_json() == {
        "size": "s", "tokenizer": "S-S", "params": None, "metrics": {}, "floors": {}, "seconds": {},
    }  # fmt: skip


def test_tokenizer_without_its_generator_has_its_own_metrics_only(tmp_path):
    write_reference(tmp_path)
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=16)
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert row.params == 550_000
    assert not any(name.startswith("gfid") for name in row.metrics)


def test_sheet_of_another_profile_does_not_count(tmp_path):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=16, profile="smoke")
    write_generator(tmp_path, "S-S", gfid=100, loss=5, profile="nano")
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert "psnr" not in row.metrics
    assert row.tokenizer_run.stale == "smoke"
    assert row.metrics["ar_val_loss"] == 5


def _trained(runs, run, sha256):
    write_json(runs / run / "config.json", {"sha256": sha256})


def _scored(runs, run, weights):
    path = runs / run / "summary.json"
    ScoreSheet.read(path).replace(weights=weights).write(path)


@pytest.mark.parametrize("again", ["tokenizers/S-S", "generators/S-S"])
def test_gfid_of_weights_that_are_gone_does_not_stand_beside_new_ones(tmp_path, again):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=16)
    write_generator(tmp_path, "S-S", gfid=100, loss=5)
    weights = {"tokenizers/S-S": "a" * 64, "generators/S-S": "b" * 64}
    _scored(tmp_path, "generators/S-S", weights)
    for run, sha256 in weights.items():
        _trained(tmp_path, run, sha256)
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert row.metrics["ar_val_loss"] == 5
    assert not row.outdated

    _trained(tmp_path, again, "c" * 64)
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert row.outdated
    assert row.metrics["psnr"] == 16
    assert "ar_val_loss" not in row.metrics
    said = f"the generator's scores are from before {again} was trained again"
    assert said in scaling_markdown([row], fake_params())
    assert said in " ".join(ScalingView(None, 80).text([row]).split())


def test_sheet_counts_where_the_weights_are_elsewhere(tmp_path):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=16)
    _scored(tmp_path, "tokenizers/S-S", {"tokenizers/S-S": "a" * 64})
    (row,) = scaling_rows(Results(tmp_path, fake_params()), ["s"])
    assert row.metrics["psnr"] == 16


def test_unknown_size_lists_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"'m' is unknown: choose from s, b, l, xl, 3b"):
        scaling_rows(Results(tmp_path, fake_params()), ["s", "m"])


def test_series_are_the_plain_recipe_with_and_without_regularization(core):
    names = [(row.tokenizer, row.semantic) for row in series_rows(Results(core, fake_params()))]
    with_it = [(name, True) for name in ("S-S", "S-B", "S-L", "B-L", "L-XL", "XL-XXL")]
    assert names == with_it + [(f"{name}-no-sem", False) for name in ("S-S", "S-L", "B-L")]


def test_series_leave_out_other_variants(core):
    params = fake_params()
    entry = params.tokenizers["S-S"].replace(overrides={"model": {"alignment_layer": 2}})
    changed = params.replace(tokenizers={**params.model_dump()["tokenizers"], "S-S-layer2": entry.model_dump()})
    assert "S-S-layer2" not in [row.tokenizer for row in series_rows(Results(core, changed))]


def test_json_has_the_documented_keys(core):
    row = scaling_rows(Results(core, fake_params()), ["s"])[0].as_json()
    assert list(json.loads(json.dumps(row))) == [
        "size",
        "tokenizer",
        "params",
        "metrics",
        "floors",
        "seconds",
    ]


def test_total_parameters_prefers_the_sheets_own_total():
    assert total_parameters({"a": 1, "b": 2}) == 3
    assert total_parameters({"a": 1, "b": 2, "total": 3}) == 3
