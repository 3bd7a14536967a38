"""``gigatok-bench plan``."""

from __future__ import annotations

import json

import pytest
from cli_harness import Command


def test_a_plan_as_json(command: Command) -> None:
    ended = command(
        "plan", "--profile", "smoke", "--sizes", "s", "--gpu", "a100", "--gpus", "2", "--price", "2", "--json"
    )
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
