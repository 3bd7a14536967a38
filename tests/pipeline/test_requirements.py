"""What this machine lacks for a training, said before the first stage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path

import pytest
import yaml

from gigatok.config import GigatokError, Params, parse_params
from gigatok.config.launch import require_divisible
from gigatok.config.profiles import render
from gigatok.pipeline import requirements
from gigatok.pipeline.plan import asked_stages
from gigatok.pipeline.requirements import missing, not_shared, refused_stages
from gigatok.pipeline.runner import Graph, Outcome, Stage
from gigatok.pipeline.update import bring_up_to_date
from gigatok.planning import fit
from gigatok.planning.spread import Hardware
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


def test_shards_that_scale_no_loss_are_refused_before_anything_starts(paper: Params) -> None:
    values = paper.model_dump(mode="json")
    values["launch"] |= {"strategy": "fsdp", "processes": "auto"}
    values["generators"]["S-S"]["overrides"] = {"precision": "fp16"}
    (line,) = not_shared(parse_params(values), 4)
    assert line == "precision fp16 of generator S-S cannot be scaled over shards: use bf16, or launch.strategy ddp"


def test_what_is_not_asked_may_lack_gpus_share_nothing_and_name_what_is_not_there(
    paper: Params, tmp_path: Path
) -> None:
    values = paper.model_dump(mode="json")
    (tmp_path / "val").mkdir()
    values["prepare"]["path"] = str(tmp_path)
    values["reference"]["samples"] = str(tmp_path)
    values["tokenizers"]["XL-XXL"]["launch"] = {"processes": 8}
    values["tokenizers"]["B-L"]["launch"] = {"micro_batch": 3}
    values["tokenizers"]["S-B-clip"]["teacher"]["weights"] = "clip.pt"
    params = parse_params(values)
    for name, said in (
        ("B-L", "launch.micro_batch 3 of tokenizer B-L does not divide the 256 images"),
        ("XL-XXL", "launch.processes of tokenizer XL-XXL is 8, but there are 1 GPUs"),
    ):
        (line,) = not_shared(params, 1, asked_stages(params, [f"evaluate_generator@{name}"]))
        assert line.startswith(said)
    assert not_shared(params, 1, asked_stages(params, ["evaluate_tokenizer@S-S", "evaluate_generator@S-S"])) == []
    # Scoring takes as many processes as training, but shares no batch.
    assert not_shared(params, 1, ["evaluate_tokenizer@B-L"]) == []
    assert len(not_shared(params, 1, ["evaluate_tokenizer@XL-XXL"])) == 1
    asked = asked_stages(params, ["train_tokenizer@S-S"])
    assert missing(params, tmp_path, cuda=True, stages=asked) == []
    assert missing(params, tmp_path, cuda=True) == ["tokenizers.S-B-clip.teacher.weights 'clip.pt' does not exist"]


def test_a_node_without_a_gpu_prepares_the_papers_data(paper: Params, tmp_path: Path) -> None:
    """Before the first job of a cluster; what the other stages need may still be missing."""
    values = paper.model_dump(mode="json")
    (tmp_path / "val").mkdir()
    values["prepare"]["path"] = str(tmp_path)
    values["teacher"]["weights"] = values["reference"]["weights"] = "none.pt"
    values["train_tokenizer"]["loss"]["perceptual_weights"] = "none.pt"
    params = parse_params(values)

    def lacks(*targets: str) -> list[str]:
        stages = asked_stages(params, targets)
        return [line.partition(" ")[0] for line in missing(params, tmp_path, cuda=False, stages=stages)]

    assert lacks("prepare") == lacks("criteria", "prepare") == []
    assert lacks("teacher") == ["profile", "teacher.weights"]
    scores = ["profile", "reference.samples", "reference.weights", "teacher.weights"]
    judge = "train_tokenizer.loss.perceptual_weights"
    assert lacks("reference") == ["profile", "reference.samples", "reference.weights", judge]
    assert lacks("evaluate_tokenizer@S-S") == [*scores, judge]
    assert lacks("train_tokenizer@S-S") == ["profile", "teacher.weights", "train_tokenizer.loss.perceptual_weights"]
    assert lacks() == [
        "profile",
        "reference.samples",
        "reference.weights",
        "teacher.weights",
        "train_tokenizer.loss.perceptual_weights",
        "tokenizers.S-B-dinov2.teacher.weights",
    ]
    values["prepare"]["path"] = None
    params = parse_params(values)
    assert lacks("prepare") == ["prepare.path"]


def test_a_folder_of_classes_alone_is_none_of_the_papers(paper: Params, tmp_path: Path) -> None:
    """A tenth of ImageNet's train/ would be held out in silence."""
    for folder in ("in/train/cat", "in/val/cat"):
        (tmp_path / folder).mkdir(parents=True)
    values = paper.model_dump(mode="json")
    for path, found in (("in", []), ("in/train", ["prepare.path 'in/train' has no validation split, and"])):
        values["prepare"]["path"] = path
        lines = missing(parse_params(values), tmp_path, cuda=True, stages=["prepare"])
        assert [line[: len(start)] for line, start in zip(lines, found, strict=True)] == found
        assert missing(parse_params({**values, "profile": "mini"}), tmp_path, cuda=True, stages=["prepare"]) == []


def test_only_a_training_that_would_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S-S is too large for its share of the GPU; nobody asks for it, or it is there already."""
    values = yaml.safe_load(render("nano", "core"))
    values["tracking"]["enabled"] = False
    values["tokenizers"]["S-S"]["overrides"] = {"batch_size": 4096}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setattr("gigatok.pipeline.requirements.gpu_memory", lambda: [16 * 1024**3])
    monkeypatch.setattr("gigatok.pipeline.requirements.has_cuda", lambda: True)
    ran: list[tuple[str, ...]] = []

    def run(root: Path, *, targets: tuple[str, ...], **_: object) -> Outcome:
        ran.append(targets)
        return Outcome(ran=(), seconds=0.0)

    def graph(*, changed: bool) -> Graph:
        return Graph({"train_tokenizer@S-S": Stage(name="train_tokenizer@S-S", changed=changed)})

    def unread(root: Path) -> Graph:
        raise AssertionError("DVC was asked although no large training is")

    monkeypatch.setattr("gigatok.pipeline.runner.run_graph", run)
    monkeypatch.setattr("gigatok.pipeline.runner.read_graph", unread)
    bring_up_to_date(tmp_path, ["evaluate_generator@B-L"])
    monkeypatch.setattr("gigatok.pipeline.runner.read_graph", lambda root: graph(changed=False))
    bring_up_to_date(tmp_path, ["train_tokenizer"])
    assert ran == [("evaluate_generator@B-L",), ("train_tokenizer",)]
    monkeypatch.setattr("gigatok.pipeline.runner.read_graph", lambda root: graph(changed=True))
    with pytest.raises(GigatokError, match=r"cannot run on this machine: tokenizer S-S needs .* over 4096 images"):
        bring_up_to_date(tmp_path, ["train_tokenizer"])
    assert len(ran) == 2


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

    def too_large(params: Params, hardware: Hardware, stages: object) -> list[str]:
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
    asked = asked_stages(paper, [])
    (line,) = refused_stages(paper.replace(launch={"processes": 5}), asked)
    assert line.startswith(f"launch.processes of tokenizer S-S is 5, but there are {gpus} GPUs: lower it, or use auto")
    two_or_one = paper.replace(launch={"processes": min(gpus, 2)})
    assert refused_stages(two_or_one, asked) == []
    assert [each.gpus for each in node] == ([] if visible == "GPU-8f1c, GPU-77aa,MIG-2" else [gpus])


def test_settings_that_dvc_compares_must_stand_in_the_file(tmp_path: Path) -> None:
    """Left to their defaults they are good for training, and DVC says MissingParamsError without a fix."""
    shutil.copy("dvc.yaml", tmp_path)
    values = yaml.safe_load(render("smoke", "core"))
    del values["base"]["seed"], values["prepare"]["image_size"], values["evaluate_tokenizer"]["pictures"]
    del values["train_tokenizer"]["loss"]

    def lacks(stages: Collection[str] | None = None) -> list[str]:
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
        return missing(parse_params(values), tmp_path, stages=stages)

    assert lacks(["prepare"]) == ["params.yaml lacks base.seed: add it (its default is 0)"]
    said = lacks()
    for name, value in (("prepare.image_size", 32), ("evaluate_tokenizer.pictures", 16)):
        assert f"params.yaml lacks {name}: add it (its default is {value})" in said
    assert "params.yaml lacks train_tokenizer.loss: add it (its default is {})" in said
    assert len(said) == 4
    before = parse_params(values)
    for line in said:
        key, _, default = (
            line.removeprefix("params.yaml lacks ").removesuffix(")").partition(": add it (its default is ")
        )
        section, name = key.split(".")
        values[section][name] = json.loads(default)
    assert lacks() == []
    assert parse_params(values) == before


def test_settings_that_are_about_to_be_written_may_be_missing(tmp_path: Path) -> None:
    shutil.copy("dvc.yaml", tmp_path)
    values = yaml.safe_load(render("smoke", "core"))
    del values["base"]["seed"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    assert missing(parse_params(yaml.safe_load(render("nano", "core"))), tmp_path) == []
