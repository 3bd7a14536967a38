"""What this machine lacks for a training, said before the first stage."""

from __future__ import annotations

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.launch import require_divisible
from gigatok.config.profiles import render
from gigatok.pipeline.requirements import not_shared


@pytest.fixture(scope="module")
def paper() -> Params:
    return parse_params(yaml.safe_load(render("paper", "core")))


@pytest.mark.parametrize("gpus", [1, 2, 8, 16, 32])
def test_the_paper_is_shared_by_the_gpus_of_a_node_or_four(paper: Params, gpus: int) -> None:
    assert not_shared(paper, gpus) == []


def test_the_largest_are_shared_by_eight_nodes_of_eight(paper: Params) -> None:
    """The job of docs/cluster.md."""
    for name in ("XL-XXL", "B-L", "L-XL"):
        require_divisible(paper.tokenizer_launch(name), paper.tokenizer_training(name), 64, name)
        require_divisible(paper.generator_launch(name), paper.generator_training(name), 64, name)
    micro = paper.tokenizer_launch("XL-XXL").replace(micro_batch=4)
    require_divisible(micro, paper.tokenizer_training("XL-XXL"), 8, "XL-XXL")


def test_what_cannot_be_shared_is_named_with_the_others_counted(paper: Params) -> None:
    (line,) = not_shared(paper, 64)
    assert line.startswith("loss.discriminator.statistics_group of tokenizer S-S takes statistics over groups of 4")
    assert line.endswith("more runs like it)")


def test_more_processes_than_gpus_are_refused_and_a_cpu_takes_any_number(paper: Params) -> None:
    params = paper.replace(launch={"processes": 8})
    (line,) = not_shared(params, 4)
    assert line.startswith("launch.processes of tokenizer S-S is 8, but there are 4 GPUs: lower it, or use auto")
    assert not_shared(params, 0) == []
    assert not_shared(params, 8) == []
