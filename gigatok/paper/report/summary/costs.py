"""What runs took here, as their folders say, and what the same trainings take at the paper's scale, as planned."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal, NamedTuple

import yaml

from gigatok.artifacts.journal import read_journal
from gigatok.config import Params, parse_params
from gigatok.config.experiments import suite_entries
from gigatok.config.profiles import render
from gigatok.paper.results.reader import Results
from gigatok.paper.results.repeats import runs_behind
from gigatok.paper.results.run import Run
from gigatok.planning.flops import generator_training_flops, training_flops
from gigatok.planning.gpus import GPUS
from gigatok.planning.hours import UTILISATION, training_hours

Kind = Literal["tokenizer", "generator"]
Needs = dict[tuple[Kind, str], None]
"""Runs by kind and name, in order, each once."""
GPU = "h100"
PLANNED = (
    f"Operations of the trained networks alone, at {UTILISATION['tokenizer']:.0%} (tokenizers) and "
    f"{UTILISATION['generator']:.0%} (generators) of an H100's peak speed in bf16, as measured on an H200: teacher, "
    "perceptual network, adversary and evaluation come on top, and 'gigatok-bench plan --profile paper' counts them."
)
SYSTEM_JOURNAL = "system.jsonl"
"""Load of the machine while a run was trained, beside the run's journal."""
_GPU_SEEN = re.compile(r"system/gpu_(\d+)_")


class Spent(NamedTuple):
    """Time that finished runs took."""

    runs: int
    cpu_hours: float
    """Hours of processes without a GPU."""
    gpu_hours: float

    def __str__(self) -> str:
        """``2.1 hours on CPUs``, both where both were used."""
        parts = [f"{hours(value)} on {unit}s" for value, unit in self._parts() if value]
        return " and ".join(parts) or "no recorded time"

    def _parts(self) -> tuple[tuple[float, str], ...]:
        return (self.cpu_hours, "CPU"), (self.gpu_hours, "GPU")


def all_needs(params: Params) -> Needs:
    """Every run of the settings."""
    needs: Needs = {("tokenizer", name): None for name in params.tokenizers}
    return {**needs, **{("generator", name): None for name in params.generators}}


def with_tokenizers(needs: Iterable[tuple[Kind, str]], params: Params) -> Needs:
    """The runs, each generator after the tokenizer whose tokens it is trained on; unknown names stay as they are."""
    found: Needs = {}
    for kind, name in needs:
        if kind == "generator" and name in params.generators:
            found["tokenizer", params.generators[name].tokenizer] = None
        found[kind, name] = None
    return found


def with_repeats(needs: Iterable[tuple[Kind, str]], params: Params) -> Needs:
    """The runs and their further trainings with other seeds."""
    return {(kind, each): None for kind, name in needs for each in runs_behind(kind, name, params)}


def spent(results: Results, needs: Iterable[tuple[Kind, str]]) -> Spent:
    """Wall-clock time of training and evaluating those of the runs that are there, added up.

    A process with a GPU counts as GPU time; GPUs are known from the machine's journal beside the run's.
    """
    runs, cpu, gpu = 0, 0.0, 0.0
    for kind, name in needs:
        run = results.single(kind, name)
        seconds = sum(float(run.provenance.get(key, 0.0)) for key in ("seconds", "evaluate_seconds"))
        if run.sheet is None or not seconds:
            continue
        runs += 1
        gpus = _gpus(run, results.params)
        cpu += 0.0 if gpus else seconds / 3600
        gpu += gpus * seconds / 3600
    return Spent(runs, cpu, gpu)


def planned_gpu_hours(params: Params, needs: Iterable[tuple[Kind, str]]) -> float:
    """Hours of one H100 that the trainings take with these settings; runs that they do not have are left out."""
    hours = 0.0
    for kind, name in needs:
        if name in (params.tokenizers if kind == "tokenizer" else params.generators):
            flops = training_flops(params, name) if kind == "tokenizer" else generator_training_flops(params, name)
            hours += training_hours(flops, devices=1, peak=GPUS[GPU].half_flops, utilisation=UTILISATION[kind])
    return hours


@cache
def replication() -> Params:
    """Profile ``paper``, suite ``full``: every run of the paper's tables and figures."""
    tokenizers, generators = suite_entries("full", "paper")
    return parse_params(yaml.safe_load(render("paper", "full", tokenizers, generators)))


def hours(value: float) -> str:
    """Time in words, two digits: ``40 minutes``, ``2.1 hours``, ``3,400 hours``."""
    if value < 0.95:
        minutes = 60 * value
        return "less than a minute" if minutes < 1 else f"{_two_digits(minutes)} minute{'s' * (round(minutes) != 1)}"
    return f"{_two_digits(value)} hours"


def _two_digits(value: float) -> str:
    if value < 10:
        return f"{value:.2g}"
    size = 10 ** (len(str(int(value))) - 2)
    return f"{round(value / size) * size:,}"


def _gpus(run: Run, params: Params) -> int:
    """GPUs that a run was trained on; 0: on a CPU."""
    if params.base.device == "cpu":
        return 0
    seen = {match[1] for point in read_journal(run.folder / SYSTEM_JOURNAL) if (match := _GPU_SEEN.match(point.name))}
    launch = params.launch  # of a run that these settings do not have, such as one of another suite
    if run.name in (params.tokenizers if run.kind == "tokenizer" else params.generators):
        launch = params.tokenizer_launch(run.name) if run.kind == "tokenizer" else params.generator_launch(run.name)
    return min(len(seen), launch.processes if launch.processes != "auto" else len(seen)) * launch.nodes
