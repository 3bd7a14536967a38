"""Each stage has its GPUs to itself, on a machine that has none."""

from __future__ import annotations

import io
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from gigatok.config import load_params, parse_params
from gigatok.config.params import merge
from gigatok.pipeline.gpus import gpus_wanted, open_pool
from gigatok.pipeline.runner import loop, process
from gigatok.pipeline.runner.display import PlainDisplay
from gigatok.pipeline.runner.gpus import VARIABLE, GpuPool
from gigatok.pipeline.runner.graph import Graph, Stage
from gigatok.pipeline.runner.history import Estimates
from gigatok.runtime import machine

SCRIPT = 'echo "$CUDA_VISIBLE_DEVICES" > {0}.gpus; date +%s%N > {0}.begin; sleep 0.{1}; date +%s%N > {0}.end'
NODE = [str(number) for number in range(8)]


class Ran:
    """What a stage saw, and when it ran."""

    def __init__(self, folder: Path, name: str) -> None:
        self.gpus = (folder / f"{name}.gpus").read_text().strip()
        self.begin, self.end = (int((folder / f"{name}.{edge}").read_text()) for edge in ("begin", "end"))

    def beside(self, other: Ran) -> bool:
        return self.begin < other.end and other.begin < self.end


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, pool: GpuPool, stages: Sequence[Stage]) -> dict[str, Ran]:
    """Really run ``stages``, each a shell that sleeps for as many tenths as its name says."""
    monkeypatch.setattr(process, "dvc_command", lambda *words: ["sh", "-c", SCRIPT.format(words[-1], words[-1][-1])])
    (folder / "runs" / "logs").mkdir(parents=True)
    graph = Graph({stage.name: stage for stage in stages})
    loop._Run(folder, graph, 99, Estimates({}, list(graph.stages)), PlainDisplay(io.StringIO()), pool).work([])
    return {stage.name: Ran(folder, stage.name) for stage in stages}


def test_eight_small_runs_side_by_side_and_one_on_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The large one comes last in the order of names; the report needs no GPU and waits for none."""
    small = [Stage(name=f"small-{number}-3") for number in range(10)]
    pool = GpuPool(NODE, lambda stage: {"t": 8, "r": 0}.get(stage[0], 1))
    ran = run(tmp_path, monkeypatch, pool, [*small, Stage(name="two-2"), Stage(name="report-1")])
    assert ran["two-2"].gpus == "0,1,2,3,4,5,6,7"
    assert ran["report-1"].gpus == ""
    assert {ran[stage.name].gpus for stage in small} == set(NODE)
    names = [stage.name for stage in small] + ["two-2"]
    pairs = [(ran[a], ran[b]) for a in names for b in names if a < b]
    beside = [(one, other) for one, other in pairs if one.beside(other)]
    assert len(beside) >= 28  # eight at once
    assert all(not set(one.gpus.split(",")) & set(other.gpus.split(",")) for one, other in beside)


def test_a_large_run_is_not_kept_waiting_by_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands first in the order, while a part of the GPUs is taken: what is behind it waits until it has started."""
    first = Stage(name="a-5", first=True)
    large, late = Stage(name="b-1"), Stage(name="c-1")
    ran = run(tmp_path, monkeypatch, GpuPool(NODE[:2], lambda stage: 2 if stage == "b-1" else 1), [first, large, late])
    assert ran["a-5"].gpus == "0"
    assert ran["a-5"].end < ran["b-1"].begin < ran["b-1"].end < ran["c-1"].begin


def test_no_gpu_is_lent_twice_and_names_keep_their_order() -> None:
    pool = GpuPool(["GPU-a", "GPU-b", "GPU-c"], lambda stage: int(stage[-1]))
    assert pool.lend("x1")
    assert not pool.lend("y3")
    assert pool.lend("z2")
    assert pool.environment("x1") == {VARIABLE: "GPU-a"}
    assert pool.environment("z2") == {VARIABLE: "GPU-b,GPU-c"}
    pool.give_back("x1")
    pool.give_back("z2")
    assert pool.wanted("more9") == 3
    assert pool.lend("more9")
    assert pool.environment("more9") == {VARIABLE: "GPU-a,GPU-b,GPU-c"}


def test_small_stages_share_gpus_and_a_large_one_has_its_own() -> None:
    pool = GpuPool(["0", "1"], lambda stage: 2 if stage == "all" else 1, lambda stage: 3 if stage[0] == "s" else 1)
    small = [f"s{number}" for number in range(5)]
    assert all(pool.lend(stage) for stage in small)
    assert [pool.environment(stage)[VARIABLE] for stage in small] == ["0", "1", "0", "1", "0"]
    assert not pool.lend("large")  # 0 is full, 1 has a third left
    assert not pool.lend("all")
    assert pool.lend("s5")
    assert not pool.lend("s6")
    for stage in ("s1", "s3", "s5"):
        pool.give_back(stage)
    assert pool.lend("large")
    assert pool.environment("large") == {VARIABLE: "1"}
    assert not pool.lend("s6")
    for stage in ("s0", "s2", "s4", "large"):
        pool.give_back(stage)
    assert pool.lend("all")
    assert pool.environment("all") == {VARIABLE: "0,1"}


def test_sharing_is_a_setting_of_each_model(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"launch": {"stages_per_gpu": 4}, "tokenizers": {"B-L": {"launch": {"stages_per_gpu": 1}}},
               "base": {"device": "cuda"}}  # fmt: skip
    params = parse_params(merge(load_params().model_dump(mode="json"), changes))
    monkeypatch.setattr("gigatok.pipeline.gpus.visible_gpus", lambda: NODE[:1])
    pool = open_pool(params)
    stages = ("train_tokenizer@S-S", "evaluate_tokenizer@S-S", "reference", "train_generator@S-S")
    assert all(pool.lend(stage) for stage in stages)
    assert not pool.lend("teacher")
    pool.give_back("reference")
    assert not pool.lend("train_tokenizer@B-L")
    monkeypatch.setattr(machine, "visible_gpus", lambda: NODE)
    monkeypatch.setattr(machine, "cores", lambda: 20)
    assert machine.default_jobs(params) == 20
    monkeypatch.setattr(machine, "cores", lambda: 4)
    assert machine.default_jobs(params) == 8


def test_without_gpus_nothing_is_limited_or_set() -> None:
    pool = GpuPool()
    assert all(pool.lend(name) for name in "abcdef")
    assert pool.environment("a") == {}
    pool.give_back("a")


def test_stages_want_what_their_launch_says(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"launch": {"processes": "auto"}, "tokenizers": {"S-S": {"launch": {"processes": 1}}},
               "generators": {"S-L": {"launch": {"processes": 4}}}, "base": {"device": "auto"}}  # fmt: skip
    params = parse_params(merge(load_params().model_dump(mode="json"), changes))
    wanted = {
        stage: gpus_wanted(stage, params, 8)
        for stage in ("prepare", "report", "criteria", "teacher", "train_tokenizer@B-L", "train_tokenizer@S-S",
                      "train_generator@S-L", "evaluate_tokenizer@S-S", "evaluate_tokenizer@B-L", "timing")
    }  # fmt: skip
    assert list(wanted.values()) == [0, 0, 0, 1, 8, 1, 4, 1, 8, 1]
    monkeypatch.setattr("gigatok.pipeline.gpus.visible_gpus", lambda: NODE)
    assert open_pool(params).wanted("train_tokenizer@B-L") == 8
    on_cpu = params.replace(base=params.base.replace(device="cpu"))
    assert open_pool(on_cpu).wanted("train_tokenizer@B-L") == 0


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, ["0", "1"]), ("3", ["3"]), ("GPU-8f, MIG-2", ["GPU-8f", "MIG-2"]), ("", [])],
)
def test_gpus_are_those_that_this_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: list[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 81559\necho 81559\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(machine, "has_cuda", lambda: visible != "")
    if visible is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, visible)
    assert machine.visible_gpus() == expected
    params = load_params()
    alone = params.replace(base=params.base.replace(device="cuda"), launch=params.launch.replace(stages_per_gpu=1))
    assert machine.default_jobs(alone) == max(1, len(expected))


def test_a_runner_that_waits_plays_no_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Order is looked at when a stage has ended, time left once a second: with 300 stages each takes 15 ms."""
    counts: Counter[str] = Counter()

    def counted(name: str) -> None:
        real = getattr(loop, name)

        def count(*args: object) -> object:
            counts[name] += 1
            return real(*args)

        monkeypatch.setattr(loop, name, count)

    counted("critical_seconds")
    counted("time_left")
    run(tmp_path, monkeypatch, GpuPool(), [Stage(name="first-9"), Stage(name="second-9", needs=("first-9",))])
    assert counts["critical_seconds"] == 2
    assert counts["time_left"] <= 2 * (2 + 4)  # low and high: at both ends, and once a second


@pytest.mark.parametrize(("kind", "expected"), [("arm64", 1), ("x86_64", 8)])
def test_apples_gpu_serves_one_stage_at_a_time(monkeypatch: pytest.MonkeyPatch, kind: str, expected: int) -> None:
    """``auto`` computes there too, as torch does."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "machine", lambda: kind)
    monkeypatch.setattr(machine, "has_cuda", lambda: False)
    monkeypatch.setattr(machine, "cores", lambda: 8)
    monkeypatch.setattr(machine, "free_memory", lambda: 2**40)
    params = load_params()
    assert machine.default_jobs(params.replace(base=params.base.replace(device="auto", threads=1))) == expected
    assert machine.default_jobs(params.replace(base=params.base.replace(device="cpu", threads=1))) == 8
