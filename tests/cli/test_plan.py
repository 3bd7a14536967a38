"""``gigatok-bench plan``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from cli_harness import Command

from gigatok.config.params import merge
from gigatok.config.profiles import render


def test_a_plan_as_json(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"train_tokenizer": {"loss": {"discriminator": {"statistics_group": 2}}}}
    values = merge(yaml.safe_load(render("smoke", "core")), groups)
    (tmp_path / "dvc.yaml").write_text("stages: {}")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    ended = command("plan", "--sizes", "s", "--gpu", "a100", "--gpus", "2", "--price", "2", "--json")
    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    tokenizer = document["runs"][0]
    assert (tokenizer["kind"], tokenizer["name"]) == ("tokenizer", "S-S")
    assert {run["kind"] for run in document["runs"]} == {"tokenizer", "generator"}
    assert tokenizer["cost"] == pytest.approx(2 * tokenizer["gpu_hours"])
    assert tokenizer["gpu_hours"] == pytest.approx(2 * tokenizer["hours"])
    assert tokenizer["disk"]["weights"] == 4 * tokenizer["parameters"]
    assert document["shared_disk"]["pixels"] > 0
    strategies = [(each["strategy"], each["recomputed"]) for each in tokenizer["layouts"]]
    assert strategies == [(name, again) for name in ("single", "ddp", "fsdp") for again in ("none", "norms", "blocks")]
    assert all(each["recompute"] is (each["recomputed"] != "none") for each in tokenizer["layouts"])
    for layout in tokenizer["layouts"]:
        assert layout["fits"]
        assert layout["bytes"]["total"] == sum(size for part, size in layout["bytes"].items() if part != "total")
        assert layout["bytes"]["total"] <= document["gpu"]["usable"]
    ddp, fsdp = tokenizer["layouts"][3], tokenizer["layouts"][6]
    assert fsdp["bytes"]["optimizer"] == pytest.approx(ddp["bytes"]["optimizer"] / 2, abs=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpu", "h1000"), "--gpu 'h1000' is not one of t4"),
        (("--profile", "nano", "--sizes", "s,m"), "--sizes 'm' is not one of s, b, l, xl, 3b"),
        (("--gpus", "0"), "--gpus"),
    ],
)
def test_wrong_arguments_are_one_line(command: Command, arguments: tuple[str, ...], said: str) -> None:
    ended = command("plan", *arguments)
    assert ended.status == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_ways_that_training_refuses_have_the_reason_and_no_hours(command: Command) -> None:
    arguments = ("plan", "--profile", "smoke", "--sizes", "s", "--gpus", "3", "--price", "2")
    ended = command(*arguments, "--json")
    assert ended.status == 0, ended.err
    run = json.loads(ended.out)["runs"][0]
    assert [each["refused"] != "" for each in run["layouts"]] == [each["processes"] == 3 for each in run["layouts"]]
    assert run["hours"] is run["gpu_hours"] is run["cost"] is None
    shown = command(*arguments)
    assert shown.status == 0, shown.err
    assert "  DDP, FSDP2 refused: batch_size 4 of tokenizer S-S is not a multiple of its 3 processes" in shown.out
    assert "no hours: training refuses these GPUs" in shown.out
