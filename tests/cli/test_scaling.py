"""``scaling`` and ``profile``: sizes, plans, what a machine lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cli_harness import Command

from gigatok.cli.commands.scaling import parse_sizes, scaling_targets
from gigatok.config import ConfigError, Params, parse_params
from gigatok.config.profiles import render
from gigatok.pipeline.params_file import changed_settings, write_profile
from gigatok.pipeline.requirements import missing
from gigatok.pipeline.update import choose_params
from gigatok.planning.hours import expected_seconds
from gigatok.runtime.machine import cores, free_memory, has_cuda


@pytest.fixture
def smoke() -> Params:
    """Profile smoke."""
    return parse_params(yaml.safe_load(render("smoke")))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DVC project with the stage names of the pipeline, where nothing has run; the working directory."""
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    stage = {"foreach": "${tokenizers}", "do": {"cmd": "true", "outs": ["t-${key}"], "deps": ["data"]}}
    scored = {"foreach": "${tokenizers}", "do": {"cmd": "true", "deps": ["t-${key}"], "outs": ["e-${key}"]}}
    drawn = {"foreach": "${generators}", "do": {"cmd": "true", "deps": ["t-${key}"], "outs": ["g-${key}"]}}
    stages = {
        "prepare": {"cmd": "true", "outs": ["data"]},
        "train_tokenizer": stage,
        "evaluate_tokenizer": scored,
        "evaluate_generator": drawn,
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "params.yaml").write_text(render("smoke"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_sizes_keep_their_order_and_lose_repetitions(smoke: Params) -> None:
    assert parse_sizes("3b, s,B,s", smoke) == ["3b", "s", "b"]


def test_tokenizers_are_taken_by_name_too(smoke: Params) -> None:
    assert parse_sizes("S-L,s", smoke) == ["S-L", "s"]
    assert scaling_targets(smoke, ["S-L"]) == ["evaluate_tokenizer@S-L", "evaluate_generator@S-L"]


@pytest.mark.parametrize("text", ["s,q", "", " , "])
def test_unknown_or_no_sizes_list_the_known_ones(command: Command, project: Path, text: str) -> None:
    ended = command("scaling", "--sizes", text)
    assert ended.status == 2
    for name in ("s (S-S)", "b (S-B)", "l (B-L)", "xl (L-XL)", "3b (XL-XXL)"):
        assert name in ended.err


def test_targets_are_both_evaluations(smoke: Params) -> None:
    assert scaling_targets(smoke, ["3b"]) == ["evaluate_tokenizer@XL-XXL", "evaluate_generator@XL-XXL"]
    fewer = smoke.replace(generators={})
    with pytest.raises(ConfigError, match="no tokenizer and generator 'S-S'"):
        scaling_targets(fewer, ["s"])


def test_dry_run_lists_stages_and_changes_nothing(command: Command, project: Path) -> None:
    before = (project / "params.yaml").read_text()
    ended = command("scaling", "--sizes", "s", "--dry-run", "--profile", "nano", "--json")
    assert ended.status == 0, ended.err
    plan = json.loads(ended.out)
    assert plan["profile"] == "nano"
    assert set(plan["stages"]) == {
        "prepare",
        "train_tokenizer@S-S",
        "evaluate_tokenizer@S-S",
        "evaluate_generator@S-S",
    }
    assert plan["missing"] == []
    assert (project / "params.yaml").read_text() == before
    text = command("scaling", "--sizes", "s", "--dry-run").out
    assert "4 stages would run" in text


def test_paper_stops_at_once_and_says_what_is_missing(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigatok.pipeline.requirements.has_cuda", lambda: False)
    before = (project / "params.yaml").read_text()
    ended = command("scaling", "--sizes", "s", "--profile", "paper")
    assert ended.status == 1
    assert "prepare.path" in ended.err
    assert "ImageNet" in ended.err
    assert "NVIDIA GPU" in ended.err
    assert "reference.samples is not set: it names ADM's reference batch" in ended.err
    assert (project / "params.yaml").read_text() == before


def test_missing_files_and_devices(smoke: Params, tmp_path: Path) -> None:
    assert missing(smoke, tmp_path, cuda=False) == []
    cuda = smoke.replace(base=smoke.base.replace(device="cuda"))
    assert "base.device is cuda" in missing(cuda, tmp_path, cuda=False)[0]
    assert missing(cuda, tmp_path, cuda=True) == []
    folder = smoke.replace(prepare=smoke.prepare.replace(source="imagefolder", path="photos"))
    assert "'photos' does not exist" in missing(folder, tmp_path, cuda=False)[0]
    (tmp_path / "photos").mkdir()
    assert missing(folder, tmp_path, cuda=False) == []
    weights = smoke.replace(teacher=smoke.teacher.replace(name="dinov2-b", image_size=224, weights="dino.pt"))
    assert missing(weights, tmp_path, cuda=False) == ["teacher.weights 'dino.pt' does not exist"]


def test_jobs_look_at_what_a_container_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free, most = free_memory(tmp_path), cores(tmp_path)
    assert (free > 0, most > 0) == (True, True)
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert (cores(tmp_path), free_memory(tmp_path)) == (1, 2000)
    (tmp_path / "memory.stat").write_text("anon 600\ninactive_file 400\n")  # read files, which make room
    assert free_memory(tmp_path) == 2400
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert cores(tmp_path) == most
    assert free_memory(tmp_path) > 2400


@pytest.mark.parametrize(
    ("devices", "torch", "found"), [("0", "2.9", True), ("", "2.9", False), ("0", "2.9+cpu", False)]
)
def test_a_gpu_that_torch_cannot_use_is_none(
    monkeypatch: pytest.MonkeyPatch, devices: str, torch: str, found: bool
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
    monkeypatch.setattr("importlib.metadata.version", lambda name: torch)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert has_cuda() is found


def test_profile_writes_and_names_the_changes(command: Command, project: Path) -> None:
    ended = command("profile", "nano")
    assert ended.status == 0
    assert "params.yaml is now profile nano, suite core" in ended.err
    assert "profile: 'smoke' -> 'nano'" in ended.err
    assert yaml.safe_load((project / "params.yaml").read_text())["profile"] == "nano"
    assert "no setting changed" in command("profile", "nano").err
    ended = command("profile", "nano", "--only", "S-S")
    assert ended.status == 2
    assert "--only S-S says which tokenizers --seeds is for" in ended.err
    ended = command("profile", "giga")
    assert ended.status == 2
    assert "smoke, nano, mini, paper" in ended.err


def test_settings_of_ones_own_are_kept_and_named(
    project: Path, smoke: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    write_profile(project, "smoke", "core")
    choose_params(project, "smoke", None)
    assert "settings of its own" not in capsys.readouterr().err
    path = project / "params.yaml"
    values = yaml.safe_load(path.read_text())
    values["base"]["seed"] += 7
    path.write_text(yaml.safe_dump(values))
    assert choose_params(project, "smoke", "core").base.seed == smoke.base.seed + 7
    err = capsys.readouterr().err
    assert "params.yaml is smoke, core already; 1 settings of its own are kept" in err
    assert f"base.seed: {smoke.base.seed} -> {smoke.base.seed + 7}" in err


def test_changed_settings_sees_additions_and_removals() -> None:
    before = {"a": {"b": 1, "c": 2}, "d": [1]}
    after = {"a": {"b": 3}, "d": [1], "e": {}}
    assert changed_settings(before, after) == ["a.b: 1 -> 3", "e: (none) -> {}", "a.c: 2 -> (none)"]
    assert changed_settings(None, {"a": 1}) == ["a: (none) -> 1", ": None -> (none)"]


def test_costs_rise_with_size_and_steps(smoke: Params) -> None:
    seconds = expected_seconds(smoke)
    rungs = [seconds[f"train_tokenizer@{name}"] for name in ("S-S", "S-B", "B-L", "L-XL", "XL-XXL")]
    assert rungs == sorted(rungs)
    longer = smoke.replace(train_tokenizer=smoke.train_tokenizer.replace(steps=smoke.train_tokenizer.steps * 10))
    assert expected_seconds(longer)["train_tokenizer@S-S"] > rungs[0]
    # scored before the others, so that it is not left for the end
    assert max(smoke.tokenizers, key=lambda name: seconds[f"evaluate_tokenizer@{name}"]) == "XL-XXL"
    assert set(seconds) == {"criteria", "prepare", "teacher", "reference", "timing", "report"} | {
        f"{stage}@{name}"
        for stage, names in (
            ("train_tokenizer", smoke.tokenizers),
            ("evaluate_tokenizer", smoke.tokenizers),
            ("train_generator", smoke.generators),
            ("evaluate_generator", smoke.generators),
        )
        for name in names
    }


def test_a_dry_run_of_repro_lists_stages_and_groups(command: Command, project: Path) -> None:
    ended = command("repro", "train_tokenizer", "--dry-run", "--json", "--profile", "smoke")
    stages = json.loads(ended.out)["stages"]
    assert ended.status == 0
    assert "train_tokenizer@S-S" in stages
    assert not any(name.startswith("evaluate") for name in stages)
    assert command("repro", "nothing", "--dry-run").status == 2
    assert command("repro", "--json").status == 2


def test_a_dry_run_knows_models_that_params_yaml_does_not_have_yet(command: Command, project: Path) -> None:
    ended = command("repro", "train_tokenizer@S-B-clip", "--dry-run", "--json", "--profile", "paper")
    assert set(json.loads(ended.out)["stages"]) == {"prepare", "train_tokenizer@S-B-clip"}


def test_a_dry_run_without_params_yaml_lists_what_is_asked_alone(command: Command, project: Path) -> None:
    (project / "params.yaml").unlink()
    ended = command("repro", "evaluate_tokenizer@S-S", "--dry-run", "--json", "--profile", "smoke")
    named = {"prepare", "teacher", "reference", "train_tokenizer@S-S", "evaluate_tokenizer@S-S"}
    assert set(json.loads(ended.out)["stages"]) == named


def test_a_dry_run_shows_what_would_be_refused(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigatok.pipeline.requirements.gpu_memory", lambda: [80 * 1024**3])
    monkeypatch.setattr("gigatok.pipeline.requirements.has_cuda", lambda: True)
    values = yaml.safe_load(render("smoke"))
    values["base"]["device"] = "auto"
    values["tokenizers"]["S-S"]["launch"] = {"processes": 8}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    line = "launch.processes of tokenizer S-S is 8, but there are 1 GPUs: lower it, or use auto"
    ended = command("repro", "train_tokenizer@S-S", "--dry-run", "--json")
    assert ended.status == 0
    assert json.loads(ended.out)["refused"] == [line]
    assert f"refused: {line}" in ended.err
    assert "train_tokenizer@S-S" in json.loads(ended.out)["stages"]
    assert json.loads(command("repro", "train_tokenizer@S-B", "--dry-run", "--json").out)["refused"] == []
    monkeypatch.setattr("gigatok.planning.fit.too_large", lambda *_: ["tokenizer S-B needs more than there is"])
    ended = command("repro", "train_tokenizer@S-B", "--dry-run")
    assert (ended.status, "refused: tokenizer S-B needs more" in ended.err) == (0, True)
