"""Stages that start their own processes: same result, states for any number of processes, clean endings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
import yaml

from gigatok.artifacts import RunFolder, Workspace, load_weights, state_meta
from gigatok.config import parse_params
from gigatok.config.params import merge
from gigatok.training.generator_recipe import GeneratorRecipe
from gigatok.training.resume.interruption import END_SECONDS, INTERRUPTED
from gigatok.training.train_generator import train_generator
from gigatok.training.train_tokenizer import train_tokenizer

pytestmark = pytest.mark.long(100)

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("GIGATOK_KILLS", "1"))
"""How often a run is killed; ``make kills`` asks for 20."""
LATE = 0.2
"""Seconds between a state and a kill, at most: about two steps."""
STEPS = 15
CHANGES: dict[str, Any] = {
    "train_tokenizer": {
        "steps": STEPS,
        "log_every": 5,
        "sample_every": 10,
        "save_every": 1,
        "batch_size": 4,
        "ema_decay": 0.5,
        "loss": {"entropy_weight": 0.05, "entropy_group": 2, "entropy_temperature": 1.0,
                 "discriminator": {"statistics_group": 2}},
        "optimizer": {"learning_rate": 1e-5},
    },
    "train_generator": {"steps": STEPS, "save_every": 1, "dropout": 0.0, "ema_decay": 0.5},
}  # fmt: skip


class Stage:
    """Runs a training stage's script in a folder, as DVC does."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.settings = settings
        self.workspace = Workspace(folder)

    def copy(self, name: str) -> Stage:
        """The same, with all that was done so far, in a folder beside it."""
        folder = self.folder.with_name(name)
        shutil.copytree(self.folder, folder)
        return Stage(folder, self.settings)

    def start(self, kind: str, launch: Mapping[str, Any], **changes: Any) -> subprocess.Popen[str]:
        settings = merge(self.settings, {"launch": dict(launch), **changes})
        (self.folder / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(settings))))
        paths = os.pathsep.join([str(self.folder), str(ROOT)])  # a sitecustomize.py in the folder is run first
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        name = "T" if kind == "tokenizer" else "G"
        command = [sys.executable, str(ROOT / "stages" / f"train_{kind}.py"), name]
        return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)  # fmt: skip

    def run(self, kind: str, launch: Mapping[str, Any], code: int = 0, **changes: Any) -> str:
        """What it prints to stderr."""
        process = self.start(kind, launch, **changes)
        _, errors = process.communicate(timeout=200)
        assert process.returncode == code, errors
        return errors

    def alone(self, kind: str) -> RunFolder:
        """Train in this very process."""
        params = parse_params(self.settings)
        if kind == "tokenizer":
            train_tokenizer("T", params, self.workspace)
            return self.workspace.tokenizer("T")
        train_generator("G", params, self.workspace)
        return self.workspace.generator("G")

    def when_saved(self, process: subprocess.Popen[str], step: int) -> list[psutil.Process]:
        """Its training processes, once a state of at least ``step`` is there."""
        end = time.monotonic() + 300
        while process.poll() is None and time.monotonic() < end:
            meta = state_meta(self.workspace.tokenizer("T").state_dir)
            if meta is not None and meta["step"] >= step:
                return [child for child in psutil.Process(process.pid).children()
                        if "train_tokenizer.py" in " ".join(child.cmdline())]  # fmt: skip
            time.sleep(0.02)
        if process.poll() is None:
            for each in (*psutil.Process(process.pid).children(recursive=True), process):
                each.kill()  # the processes too: they hold the pipe of its messages
        pytest.fail(f"no state was saved: {process.communicate(timeout=30)[1]}")


@pytest.fixture
def stage(new_project: Callable[..., Any]) -> Stage:
    """A project with images in it, and settings that two processes can share."""
    project = new_project("first")
    settings = project.params(CHANGES["train_tokenizer"], CHANGES["train_generator"]).model_dump(mode="json")
    return Stage(project.workspace.runs.parent, settings)


def assert_close(first: RunFolder, second: RunFolder) -> None:
    weights, others = load_weights(first.weights_path), load_weights(second.weights_path)
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        bound = 1e-4 if name.endswith("qkv.bias") or "decoder.blocks.0.self_attention.qkv" in name else 1e-5
        torch.testing.assert_close(others[name], value, rtol=0, atol=bound, msg=name)
    curves, other_curves = (json.loads(run.curves_path.read_text()) for run in (first, second))
    assert curves.keys() == other_curves.keys()
    for name in ("loss", "l2", "codebook_perplexity"):
        if name in curves:
            assert np.allclose(curves[name], other_curves[name], rtol=1e-5), name


def test_a_signal_to_one_process_saves_and_one_process_goes_on(stage: Stage) -> None:
    """Two processes with shards are preempted; the same state then serves a single process."""
    whole = stage.copy("whole").alone("tokenizer")
    running = stage.start("tokenizer", {"processes": 2, "strategy": "fsdp"})
    workers = stage.when_saved(running, 3)
    workers[1].send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=200)
    assert running.returncode == 130, errors
    assert "its processes saved their state" in errors
    run = stage.workspace.tokenizer("T")
    meta = state_meta(run.state_dir)
    assert meta is not None
    assert 3 <= meta["step"] < STEPS
    assert_close(whole, stage.alone("tokenizer"))
    with np.load(run.indices_path) as found, np.load(whole.indices_path) as expected:
        assert np.array_equal(found["train"], expected["train"])


def test_two_processes_go_on_where_one_stopped(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.alone("tokenizer")
    whole = stage.copy("whole").alone("generator")
    step = GeneratorRecipe.step

    def stop(self: GeneratorRecipe, number: int, *batch: Any) -> Any:
        if number == STEPS // 2:
            raise KeyboardInterrupt
        return step(self, number, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(GeneratorRecipe, "step", stop)
        with pytest.raises(KeyboardInterrupt):
            stage.alone("generator")
    stage.run("generator", {"processes": 2, "strategy": "fsdp", "micro_batch": 1})
    assert_close(whole, stage.workspace.generator("G"))


def test_a_killed_process_ends_the_others_and_costs_nothing(stage: Stage, same_results: Callable[..., None]) -> None:
    """With copies and with shards in turn, right after a state or some way into the next step."""
    wholes: dict[str, Stage] = {}
    random = np.random.default_rng(0)
    for kill in range(KILLS):
        strategy = ("ddp", "fsdp")[kill % 2]
        launch = {"processes": 2, "strategy": strategy}
        if strategy not in wholes:
            wholes[strategy] = stage.copy(f"whole-{strategy}")
            wholes[strategy].run("tokenizer", launch)
        whole, folder = wholes[strategy], stage.copy(f"kill-{kill}")
        running = folder.start("tokenizer", launch)
        workers = folder.when_saved(running, int(random.integers(1, STEPS - 5)))
        time.sleep(random.uniform(0, LATE))
        victim = int(random.integers(2))
        workers[victim].kill()
        _, errors = running.communicate(timeout=200)
        assert running.returncode == 1
        assert f"train_tokenizer@T: rank {victim} was killed by SIGKILL" in errors
        folder.run("tokenizer", launch)
        same_results(whole.workspace.tokenizer("T"), folder.workspace.tokenizer("T"))


@pytest.mark.skipif(KILLS == 1, reason="waits for most of a minute: make kills")
def test_a_process_that_hangs_ends_the_others_and_is_named(stage: Stage, same_results: Callable[..., None]) -> None:
    launch = {"processes": 2, "strategy": "fsdp"}
    whole = stage.copy("whole")
    whole.run("tokenizer", launch)
    running = stage.start("tokenizer", {**launch, "timeout_minutes": 0.25})
    workers = stage.when_saved(running, 2)
    workers[1].suspend()
    _, errors = running.communicate(timeout=200)
    assert running.returncode == 1
    assert "error: rank 1 of 2 gave no sign for 0." in errors
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    stage.run("tokenizer", launch)
    same_results(whole.workspace.tokenizer("T"), stage.workspace.tokenizer("T"))


def test_whoever_waits_for_a_process_that_hangs_ends_by_a_second_interruption(stage: Stage) -> None:
    """It waits in C, where Python hears no signal, and no exception would end it."""
    running = stage.start("tokenizer", {"processes": 2, "strategy": "fsdp"})
    workers = stage.when_saved(running, 2)
    try:
        workers[1].suspend()
        time.sleep(1)
        workers[0].send_signal(signal.SIGINT)
        with pytest.raises(psutil.TimeoutExpired):
            workers[0].wait(2)
        workers[0].send_signal(signal.SIGINT)
        workers[0].wait(END_SECONDS + 10)
    finally:
        for worker in workers:
            with suppress(psutil.NoSuchProcess):
                worker.kill()
    _, errors = running.communicate(timeout=100)
    assert running.returncode == INTERRUPTED
    assert "train_tokenizer@T interrupted: not all of its processes saved their state" in errors


def test_what_cannot_be_shared_is_refused_before_anything_is_loaded(stage: Stage) -> None:
    errors = stage.run("tokenizer", {"processes": 4}, code=2)
    assert errors.startswith(
        "error: loss.discriminator.statistics_group of tokenizer T takes statistics over groups of 2"
    )
    assert len(errors.splitlines()) == 1
    assert not stage.workspace.tokenizer("T").path.exists()


def test_what_all_processes_refuse_is_said_once(stage: Stage) -> None:
    """Rank 1 works in a folder with other settings and the same runs/."""
    other = stage.folder.with_name("other")
    other.mkdir()
    (other / "runs").symlink_to(stage.folder / "runs")
    settings = merge(stage.settings, {"launch": {"processes": 2}, "base": {"seed": 7}})
    (other / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(settings))))
    move = f"import os\nif os.environ.get('RANK') == '1':\n    os.chdir({str(other)!r})\n"
    (stage.folder / "sitecustomize.py").write_text(move)
    errors = stage.run("tokenizer", {"processes": 2}, code=1)
    assert errors.startswith("error: rank 1 has settings and code ")
    assert len(errors.splitlines()) == 1


@pytest.mark.skipif(KILLS == 1, reason="two more processes to start: make kills")
def test_what_each_process_refuses_by_itself_is_said_once_too(stage: Stage) -> None:
    errors = stage.run("tokenizer", {"processes": 2}, code=1, train_tokenizer={"loss": {"semantic_weight": 0.5}})
    assert errors.startswith("error: ")
    assert "summary.json does not exist: run 'dvc repro teacher'" in errors
    assert len(errors.splitlines()) == 1
