"""One trial: a folder with settings of its own beside the project's data, in which the project's stages run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from gigatok.artifacts import RunFolder, Workspace, read_journal, write_text
from gigatok.config import GigatokError, Params, load_params, parse_params
from gigatok.config.params import merge
from gigatok.config.reading import read_json_object, read_yaml
from gigatok.config.sections import TrainTokenizerSection
from gigatok.pipeline.runner.process import StageProcess, stop_all
from gigatok.pipeline.runner.requests import collected
from gigatok.pipeline.tuning.space import Setting
from gigatok.tracking.destination import find_destination
from gigatok.tracking.experiments.folder import STUDY_VARIABLE, TRIAL_VARIABLE
from gigatok.tracking.progress_line import ENVIRONMENT_VARIABLE

SHARED = ("data", "teacher", "reference", "cache")
"""What all trials take from the project."""
POLL_SECONDS = 0.5
_TAIL = 4

Watch = Callable[[dict[int, float]], bool]
"""Called with the intermediate values by step; true: give the trial up."""


class GivenUp(Exception):
    """The trial was stopped by its watch."""


class TrialFolder:
    """Where one trial trains and is scored. A killed trial goes on in it."""

    def __init__(self, project: Path, folder: Path, name: str, study: str, number: int) -> None:
        self.project, self.folder, self.name, self.study, self.number = project, folder, name, study, number
        self.workspace = Workspace(folder)

    def prepare(self, setting: Setting, steps: int, generator_steps: int) -> Params:
        """Write the trial's ``params.yaml`` and lead to the project's data; returns the settings.

        Raises:
            ConfigError: the project's settings do not allow this one.
        """
        values = trial_settings(self.project, self.name, setting, steps, generator_steps)
        params = parse_params(values, source=f"trial {self.number}")
        self.workspace.runs.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "params.yaml", yaml.safe_dump(values, sort_keys=False))
        for shared in SHARED:
            source, link = Workspace(self.project).runs / shared, self.workspace.runs / shared
            if shared == "cache":
                source.mkdir(exist_ok=True)
            if not link.is_symlink():
                link.symlink_to(source.resolve(), target_is_directory=True)
        return params

    def run(self, stage: str, metric: str, watch: Watch) -> None:
        """Run a stage's script to its end; ``watch`` sees each new value of ``metric`` in the run's journal.

        Raises:
            GivenUp: ``watch`` said so; the script has saved its state and ended.
            KeyboardInterrupt: SIGINT, SIGTERM or SIGHUP arrived; the script has saved its state and ended. It is not
                waited for once another one arrives.
            GigatokError: the script failed; its last lines are in the text.
        """
        command = [sys.executable, str(self.project.resolve() / "stages" / f"{stage}.py"), self.name]
        variables = {STUDY_VARIABLE: self.study, TRIAL_VARIABLE: str(self.number),
                     ENVIRONMENT_VARIABLE: ""}  # its log is where its progress is read  # fmt: skip
        with collected() as requests:
            process = StageProcess(stage, self.folder, self.folder, command, variables)
            try:
                self._follow(process, stage, metric, watch, requests)
            except BaseException:
                count = len(requests)
                stop_all([process], lambda: len(requests) > count)
                raise
        if process.poll():
            lines = process.log_text().split("\n")[-_TAIL:]
            text = " ".join(line for line in lines if line)
            raise GigatokError(f"trial {self.number}, {stage}: {text} ({process.log})")

    def _follow(self, process: StageProcess, stage: str, metric: str, watch: Watch, requests: Sequence[int]) -> None:
        seen: dict[int, float] = {}
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            if requests:
                break
            values = self.intermediate(stage, metric)
            if values != seen:
                seen = values
                if watch(values):
                    raise GivenUp
        if requests:
            raise KeyboardInterrupt

    def intermediate(self, stage: str, metric: str) -> dict[int, float]:
        """Values of a metric by step, as the journal has them."""
        points = read_journal(self.folder_of(stage).journal_path)
        return {point.step: point.value for point in points if point.name == metric}

    def folder_of(self, stage: str) -> RunFolder:
        """The run that a stage works on."""
        kind = stage.rpartition("_")[2]
        return self.workspace.tokenizer(self.name) if kind == "tokenizer" else self.workspace.generator(self.name)

    def score(self, metric: str) -> float:
        """A score of the tokenizer, from ``metrics.json``; ``rfid`` finds ``rfid/<extractor>``.

        Raises:
            GigatokError: it was not scored.
        """
        path = self.workspace.tokenizer(self.name).metrics_path
        values = read_json_object(path, fix="run the command again")
        found = [value for name, value in values.items() if name.partition("/")[0] == metric]
        if len(found) != 1:
            raise GigatokError(f"trial {self.number} has {len(found)} scores called {metric}, one is needed")
        return float(found[0])

    def deliver(self, params: Params, seconds: float) -> None:
        """Give MLflow the trial's values, and let its feeder go."""
        from gigatok.tracking import drain

        if params.tracking.enabled:
            drain(self.workspace.runs, seconds, params.tracking)


def trial_settings(project: Path, name: str, setting: Setting, steps: int, generator_steps: int) -> dict[str, Any]:
    """What a trial's ``params.yaml`` holds: the project's, one tokenizer, its AR model, fewer steps."""
    path = project / "params.yaml"
    params = load_params(path)
    values: dict[str, Any] = read_yaml(path, fix="'gigatok-bench profile NAME' writes it")
    own = values["tokenizers"][name]
    training = params.tokenizer_training(name)
    overrides = merge(merge(own.get("overrides") or {}, _shortened(training, steps)), setting.overrides())
    values["tokenizers"] = {name: {**own, "overrides": overrides, "seeds": []}}
    warmup = round(params.train_generator.optimizer.warmup_steps / params.train_generator.steps * generator_steps)
    values["generators"] = {name: {**trial_generator(params, name), "overrides": {
        "steps": generator_steps, "validate_every": max(1, generator_steps // 4), "keep_steps": [],
        "save_every": max(1, generator_steps // 2), "log_every": max(1, generator_steps // 10),
        "optimizer": {"warmup_steps": warmup}}}}  # fmt: skip
    values["evaluate_tokenizer"] = {**(values.get("evaluate_tokenizer") or {}), "probe": None}  # no objective
    tracking = {**(values.get("tracking") or {}), "models": "never"}  # a study has many, and none is to be used
    destination = find_destination(params.tracking, Workspace(project).runs)
    if destination.database is not None:  # the trial's folder has another place beside it
        tracking["uri"] = destination.uri
    values["tracking"] = tracking
    return values


def _shortened(training: TrainTokenizerSection, steps: int) -> dict[str, Any]:
    """Fewer steps, and what happens at a step at the same share of them."""

    def scaled(step: int) -> int:
        return round(step / training.steps * steps)

    loss: dict[str, Any] = {"discriminator": {"start_step": scaled(training.loss.discriminator.start_step)}}
    shortcut = training.loss.shortcut
    if shortcut is not None:
        loss["shortcut"] = {
            "image_end_step": scaled(shortcut.image_end_step),
            "feature_end_step": scaled(shortcut.feature_end_step),
        }
    return {
        "steps": steps,
        "sample_every": max(1, steps // 4),
        "save_every": max(1, steps // 2),
        "log_every": max(1, steps // 20),
        "keep_steps": [],
        "optimizer": {"warmup_steps": scaled(training.optimizer.warmup_steps)},
        "codebook_restart": {"until_step": scaled(training.codebook_restart.until_step)},
        "loss": loss,
    }


def trial_generator(params: Params, tokenizer: str) -> dict[str, Any]:
    """An AR model on this tokenizer: of the size that params.yaml gives it, GPT-B where it gives none or GPT-B too."""
    sizes = sorted(entry.size for entry in params.generators.values() if entry.tokenizer == tokenizer)
    return {"tokenizer": tokenizer, "size": "GPT-B" if "GPT-B" in sizes or not sizes else sizes[0]}
