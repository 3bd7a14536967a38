"""What this machine lacks for a training, said before the first stage."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.launch import require_divisible
from gigatok.config.profiles import render
from gigatok.pipeline import requirements
from gigatok.pipeline.requirements import not_shared
from gigatok.planning import fit
from gigatok.planning.fit import Hardware
from gigatok.runtime import machine


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


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Hardware]:
    """A machine whose driver reports four GPUs; the hardware whose memory is compared with what trainings need."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '81559\\n81559\\n81559\\n81559\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for module in (machine, requirements):
        monkeypatch.setattr(module, "has_cuda", lambda: True)
    compared: list[Hardware] = []

    def too_large(params: Params, hardware: Hardware) -> list[str]:
        compared.append(hardware)
        return []

    monkeypatch.setattr(fit, "too_large", too_large)
    return compared


@pytest.mark.parametrize(
    ("visible", "gpus"), [("GPU-8f1c, GPU-77aa,MIG-2", 3), ("1,GPU-77aa", 2), ("0,1,2,7", 3), (None, 4), ("0", 1)]
)
def test_gpus_that_are_named_by_uuid_are_counted_too(
    paper: Params, node: list[Hardware], monkeypatch: pytest.MonkeyPatch, visible: str | None, gpus: int
) -> None:
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (line,) = requirements._lacks_of_hardware(paper.replace(launch={"processes": 5}))
    assert line.startswith(f"launch.processes of tokenizer S-S is 5, but there are {gpus} GPUs: lower it, or use auto")
    two_or_one = paper.replace(launch={"processes": min(gpus, 2)})
    assert requirements._lacks_of_hardware(two_or_one) == []
    assert [each.gpus for each in node] == ([] if visible == "GPU-8f1c, GPU-77aa,MIG-2" else [gpus])
