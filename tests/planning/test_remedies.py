"""What is named where a training does not fit: settings that, once they are made, do fit."""

import re
from typing import Any

import numpy as np
import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.launch import require_divisible
from gigatok.config.profiles import render
from gigatok.planning.fit import GIB
from gigatok.planning.live_memory import PARTS
from gigatok.planning.memory import Layout, StepMemory
from gigatok.planning.remedies import remedy
from gigatok.planning.spread import Hardware, SpreadRun, spread_runs
from gigatok.planning.steps import StepTrace

PARAMETERS = 2_893_970_443
KEPT = {"none": 3 * GIB, "norms": 2 * GIB, "blocks": GIB // 2}
"""Bytes an image."""


def paper(launch: dict[str, Any] | None = None, **own: Any) -> Params:
    """``launch`` of all, and ``own`` of XL-XXL."""
    values = yaml.safe_load(render("paper", "core"))
    values["launch"] = launch or {}
    values["tokenizers"]["XL-XXL"]["launch"] = own
    return parse_params(values)


def memory_of(run: SpreadRun, each: int = 0) -> StepMemory:
    """Memory of a model of that size; nothing is traced."""

    def step(images: int) -> StepTrace:
        parts = dict.fromkeys(PARTS, 0)
        parts |= {"weights": 4 * PARAMETERS, "gradients": 4 * PARAMETERS, "optimizer": 8 * PARAMETERS}
        parts["activations"] = images * (each or KEPT[run.launch.recompute])
        return StepTrace(np.array([list(parts.values())]), 1, (PARAMETERS // 100,) * 90, PARAMETERS)

    return StepMemory(step(1), step(2), run.section.precision)


def run_of(params: Params, hardware: Hardware) -> SpreadRun:
    (run,) = spread_runs(params, hardware, ["train_tokenizer@XL-XXL"])
    return run


def fits(run: SpreadRun) -> bool:
    return memory_of(run).total(run.layout) <= run.capacity


def mended(run: SpreadRun, said: str) -> SpreadRun:
    """The run with the settings that were named."""
    values = run.params.model_dump(mode="json")
    named = re.findall(r"([\w.-]+) to (\w+)", said)
    assert named
    for setting, value in named:
        *path, last = setting.split(".")
        inner = values
        for part in path:
            inner = inner[part]
        inner[last] = yaml.safe_load(value)
    return run_of(parse_params(values), run.hardware)


@pytest.mark.parametrize(
    ("launch", "own", "hardware", "said"),
    [
        ({}, {}, Hardware(96 * GIB, 1), "set launch.micro_batch to 8"),
        ({}, {}, Hardware(58 * GIB, 1), "set launch.recompute to norms and launch.micro_batch to 4"),  # groups of 4
        ({}, {"micro_batch": 16}, Hardware(96 * GIB, 1), "set tokenizers.XL-XXL.launch.micro_batch to 8"),
        (
            {"stages_per_gpu": 2},
            {},
            Hardware(80 * GIB, 1),
            "set launch.stages_per_gpu to 1 and launch.micro_batch to 8",
        ),
        ({}, {}, Hardware(40 * GIB, 8), "set launch.processes to auto, launch.strategy to fsdp and launch.micro_batch"),
        (
            {"processes": "auto", "strategy": "ddp"},
            {},
            Hardware(40 * GIB, 8),
            "set launch.strategy to fsdp and launch.m",
        ),
        (
            {"processes": "auto"},
            {},
            Hardware(24 * GIB, 8),
            "set launch.recompute to blocks and launch.micro_batch to 8",
        ),
        ({}, {}, Hardware(40 * GIB, 6), "set launch.processes to 4, launch.strategy to fsdp"),  # 6 do not share 256
        ({"processes": 2}, {}, Hardware(90 * GIB, 0), "set launch.processes to 1 and launch.micro_batch to 8"),
    ],
)
def test_what_is_named_fits(launch: dict[str, Any], own: dict[str, Any], hardware: Hardware, said: str) -> None:
    run = run_of(paper(launch, **own), hardware)
    assert not fits(run)
    text = remedy(run, memory_of, [run])
    assert text.startswith(said)
    assert fits(mended(run, text))
    assert not mended(run, text).unshared


def test_a_group_of_statistics_is_cut_only_where_nothing_else_helps() -> None:
    run = run_of(paper({"recompute": "blocks"}), Hardware(48 * GIB, 1))
    text = remedy(run, memory_of, [run])
    assert text.startswith("set launch.micro_batch to 2 (then loss.discriminator.statistics_group of XL-XXL takes")
    assert fits(mended(run, text.partition(" (then")[0]))


def test_a_setting_of_all_that_others_could_not_share_is_named_for_one_run() -> None:
    params = paper()
    values = params.model_dump(mode="json")
    values["tokenizers"]["S-S"]["overrides"]["batch_size"] = 4
    params = parse_params(values)
    run = run_of(params, Hardware(96 * GIB, 1))
    assert remedy(run, memory_of, [run]) == "set launch.micro_batch to 8"
    both = list(spread_runs(params, run.hardware, ["train_tokenizer@S-S", "train_tokenizer@XL-XXL"]))
    assert remedy(run, memory_of, both) == "set tokenizers.XL-XXL.launch.micro_batch to 8"
    assert remedy(run, memory_of, None) == "set tokenizers.XL-XXL.launch.micro_batch to 8"  # not the only one refused


def test_where_nothing_here_helps_it_says_how_many_gpus_would() -> None:
    run = run_of(paper({"processes": "auto", "strategy": "fsdp"}), Hardware(24 * GIB, 1))
    text = remedy(run, memory_of, [run])
    found = re.fullmatch(
        r"nothing here makes it fit; (\d+) such GPUs would, with launch.strategy fsdp, launch.recompute blocks and "
        r"launch.micro_batch (\d+)",
        text,
    )
    assert found is not None
    gpus, size = int(found[1]), int(found[2])
    launch = run.launch.replace(recompute="blocks", micro_batch=size)
    require_divisible(launch, run.section, gpus, "XL-XXL")
    memory = memory_of(run.launched(launch))

    def total(count: int) -> int:
        layout = Layout(strategy="fsdp", processes=count, micro_batch=size, accumulates=size < 256 // count)
        return memory.total(layout)

    assert total(gpus) <= run.capacity
    assert gpus > 2
    assert memory.total(Layout(strategy="fsdp", processes=gpus // 2, micro_batch=4, accumulates=True)) > run.capacity


def test_where_no_gpus_help_it_says_so() -> None:
    run = run_of(paper(), Hardware(24 * GIB, 8))
    said = remedy(run, lambda run: memory_of(run, each=50 * GIB), [run])
    assert said == "nothing makes it fit into such GPUs, however many: use larger ones, or smaller sizes"
    values = paper().model_dump(mode="json")
    values["train_tokenizer"]["precision"] = "fp16"
    run = run_of(parse_params(values), Hardware(24 * GIB, 8))
    said = remedy(run, memory_of, [run])
    assert said == "nothing here makes it fit, and fp16 has no shards on more GPUs: use larger ones, or smaller sizes"
