"""Order and time left, on graphs small enough to play through by hand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gigatok.config import GigatokError
from gigatok.pipeline.runner import process as module
from gigatok.pipeline.runner.display import View, clock, facts, span_text
from gigatok.pipeline.runner.graph import Graph, Stage
from gigatok.pipeline.runner.history import Estimates, Span, read_seconds, record_seconds
from gigatok.pipeline.runner.process import StageProcess
from gigatok.pipeline.runner.schedule import by_priority, critical_seconds, time_left
from gigatok.pipeline.runner.stage_report import StageReport

# data (2 s) -> small (1 s), large (6 s) -> report (1 s)
GRAPH = Graph(
    {
        name: Stage(name=name, needs=needs)
        for name, needs in {
            "report": ("large", "small"),
            "data": (),
            "small": ("data",),
            "large": ("data",),
        }.items()
    }
)
SECONDS = {"data": 2.0, "small": 1.0, "large": 6.0, "report": 1.0}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that takes a process's start."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_longest_chain_goes_first() -> None:
    critical = critical_seconds(GRAPH, SECONDS)
    assert critical == {"report": 1.0, "large": 7.0, "small": 2.0, "data": 9.0}
    assert by_priority(["small", "large"], critical) == ["large", "small"]
    assert by_priority(["b", "a"], {"a": 1.0, "b": 1.0}) == ["a", "b"]


def test_what_must_be_first_goes_before_the_longest_chain() -> None:
    graph = Graph({**GRAPH.stages, "criteria": Stage(name="criteria", first=True)})
    critical = critical_seconds(graph, {**SECONDS, "criteria": 1.0})
    sorter = graph.sorter(graph.stages)
    sorter.prepare()
    assert by_priority(sorter.get_ready(), critical) == ["criteria", "data"]


def test_a_stage_is_handed_out_once_all_that_it_needs_is_done() -> None:
    sorter = GRAPH.sorter(["small", "large", "report"])  # data was done before
    sorter.prepare()
    assert set(sorter.get_ready()) == {"small", "large"}
    sorter.done("small")
    assert sorter.get_ready() == ()
    sorter.done("large")
    assert sorter.get_ready() == ("report",)


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 10.0), (2, 9.0), (9, 9.0)])
def test_time_left_plays_the_schedule(jobs: int, seconds: float) -> None:
    assert time_left(GRAPH, set(SECONDS), {}, SECONDS, jobs) == pytest.approx(seconds)


def test_time_left_counts_what_runs() -> None:
    # large has 4 s left, small starts beside it, then the report
    assert time_left(GRAPH, {"small", "report"}, {"large": 4.0}, SECONDS, 2) == pytest.approx(5.0)
    assert time_left(GRAPH, {"small", "report"}, {"large": 4.0}, SECONDS, 1) == pytest.approx(6.0)
    assert time_left(GRAPH, set(), {}, SECONDS, 2) == 0.0


def test_a_group_stands_for_its_stages() -> None:
    names = ("data", "train@S-S", "train@B-L", "report")
    graph = Graph({name: Stage(name=name, needs=("data",) if "@" in name else ()) for name in names})
    assert set(graph.upstream(["train"]).stages) == {"data", "train@S-S", "train@B-L"}
    assert set(graph.upstream(["train@S-S"]).stages) == {"data", "train@S-S"}
    with pytest.raises(GigatokError, match=r"stage 'tra' is not in dvc\.yaml"):
        graph.upstream(["tra"])


@pytest.mark.parametrize(
    ("said", "skipped"),
    [
        ("Stage 'a' didn't change, skipping", True),
        ("Stage 'a' is cached - skipping run, checking out outputs", True),
        ("S-S: already trained, says a log line that nothing looks for", False),
        ("Running stage 'a'", False),
    ],
)
def test_stages_that_had_nothing_to_do_are_no_measurements(tmp_path: Path, said: str, skipped: bool) -> None:
    process = StageProcess("a", tmp_path, tmp_path, command=[sys.executable, "-c", f"print({said!r})"])
    until(lambda: process.poll() is not None)
    assert process.skipped() is skipped


def test_a_stage_says_itself_that_it_had_nothing_to_do(tmp_path: Path) -> None:
    code = "from gigatok.tracking.progress import report_skipped; report_skipped('a')"
    process = StageProcess("a", tmp_path, tmp_path, command=[sys.executable, "-c", code])
    until(lambda: process.poll() is not None)
    assert process.skipped()


def test_what_a_stage_started_in_a_group_of_its_own_is_ended_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torchrun starts its processes: whoever kills torchrun alone leaves them on their GPUs."""
    for name in ("STOP_SECONDS", "TERMINATE_SECONDS"):
        monkeypatch.setattr(module, name, 0.3)
    deaf = (
        "import signal, time; signal.signal(2, signal.SIG_IGN); signal.signal(15, signal.SIG_IGN); "
        "print('ready', flush=True); time.sleep(99)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {deaf!r}], start_new_session=True)"
    stage = StageProcess("a", tmp_path, tmp_path, command=[sys.executable, "-c", code])
    family = [psutil.Process(stage._process.pid)]
    try:
        until(lambda: "ready" in stage.log_text())
        (child,) = family[0].children()
        family.append(child)
        module.stop_all([stage])
        assert not stage.alive()
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    finally:
        for process in reversed(family):
            with suppress(psutil.NoSuchProcess):
                for each in (*process.children(recursive=True), process):
                    each.kill()


def test_outdated_follows_changes_downstream() -> None:
    changed = {name: Stage(name=name, needs=GRAPH.stages[name].needs, changed=name == "small") for name in SECONDS}
    assert Graph(changed).outdated() == {"small", "report"}
    assert GRAPH.order().index("data") < GRAPH.order().index("large") < GRAPH.order().index("report")


def test_estimates_follow_the_pace_of_long_stages() -> None:
    estimates = Estimates({"train@a": 10.0, "train@b": 20.0}, ["train@a", "train@b", "report"])
    assert estimates.seconds() == {"train@a": 10.0, "train@b": 20.0, "report": 15.0}
    estimates.ended("train@a", 30.0)
    assert estimates.seconds()["train@b"] == pytest.approx(60.0)
    estimates.ended("train@a", 1.0)  # too short to tell
    assert estimates.seconds()["train@b"] == pytest.approx(60.0)
    # a stage of another kind goes half the way
    assert estimates.seconds()["report"] == pytest.approx(15.0 * 3**0.5)
    estimates.ended("report", 7.5)
    assert estimates.seconds()["report"] == pytest.approx(7.5)
    assert estimates.seconds()["train@b"] == pytest.approx(60.0)


def test_history_survives_a_torn_file(tmp_path: Path) -> None:
    costs = {"train@S-S": 40.0, "report": 25.0}
    assert read_seconds(tmp_path, costs) == {}
    record_seconds(tmp_path, "train@S-S", 12.34, 40.0)
    record_seconds(tmp_path, "report", 1.0, 25.0)
    assert read_seconds(tmp_path, costs) == {"train@S-S": 12.3, "report": 1.0}
    # ten times the steps: what was measured does not hold
    assert read_seconds(tmp_path, {**costs, "train@S-S": 400.0}) == {"report": 1.0}
    for torn in ('{"train', "[1]", '{"report": 3}'):
        (tmp_path / "seconds.json").write_text(torn)
        assert read_seconds(tmp_path, costs) == {}


def test_progress_reads_whole_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    progress = StageReport(path)
    progress.refresh()
    assert facts(progress) == []
    line = json.dumps({"phase": "train", "step": 5, "total": 10, "loss": 0.12345, "images_per_second": 99.6})
    path.write_text(line[:20])
    progress.refresh()
    assert progress.step is None
    path.write_text(f"{line}\nnot json\n[1]\n")
    progress.refresh()
    assert facts(progress) == ["train", "step 5/10", "loss 0.1235", "100 images/s"]
    with path.open("a") as file:
        file.write(json.dumps({"phase": "validate", "step": 1, "total": 4}) + "\n")
    progress.refresh()
    assert facts(progress)[:2] == ["validate", "step 1/4"]


def test_a_stage_is_timed_by_its_own_pace(tmp_path: Path) -> None:
    progress = StageReport(tmp_path / "progress.jsonl")
    assert progress.seconds_left(30.0) == pytest.approx(30.0, abs=1.0)
    # resumed at step 50, 10 steps in 4 s: 40 more take 16 s
    progress.step, progress.total, progress._first = 60, 100, (time.monotonic() - 4.0, 50)
    assert progress.seconds_left(999.0) == pytest.approx(16.0, rel=0.05)


def test_clock() -> None:
    assert [clock(seconds) for seconds in (0, 59.6, 75, 4000)] == ["0:00", "1:00", "1:15", "1:06:40"]


def test_time_left_is_a_range_that_narrows_with_what_is_known() -> None:
    names = ["train@a", "train@b", "report"]
    estimates = Estimates({"train@a": 100.0, "train@b": 200.0, "report": 40.0}, names, ["report"])
    assert estimates.spans() == {"train@a": (50, 200), "train@b": (100, 400), "report": (34, 48)}
    estimates.ended("train@a", 100.0)
    assert estimates.spans()["train@b"] == (150, 280)


def test_a_running_stage_tells_of_its_sisters_before_it_ends() -> None:
    """Else trainings, most of the time, are guessed by the pace of small stages until the first of them ends."""
    estimates = Estimates(
        {"teacher": 40.0, "train@a": 100.0, "train@b": 200.0, "score@a": 50.0},
        ["teacher", "train@a", "train@b", "score@a"],
    )
    estimates.ended("teacher", 10.0)
    assert estimates.spans()["train@b"] == (50, 200)  # half of what formulas say, not a quarter
    estimates.under_way({"train@a": 300.0})
    assert estimates.spans()["train@b"] == pytest.approx((390, 960))
    assert estimates.spans()["score@a"] == (12.5, 50)  # an ended stage is the better witness
    estimates.under_way({"train@a": 150.0})  # what was told before is forgotten
    assert estimates.seconds()["train@b"] == pytest.approx(300.0)
    estimates.ended("train@a", 110.0)
    estimates.under_way({"train@b": 900.0})
    assert estimates.seconds()["train@b"] == pytest.approx(220.0)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (20, 80, "20-80 s"),
        (55, 130, "0.9-2.2 min"),
        (250, 560, "4-9 min"),
        (300, 301, "about 5 min"),
        (3600, 9000, "1-2.5 h"),
        (86400, 8 * 86400, "1-8 days"),
        (0, 0, "about 0 s"),
    ],
)
def test_ranges_are_read_in_one_unit(low: float, high: float, text: str) -> None:
    assert span_text(Span(low, high)) == text


def test_live_panel_shows_all_running_stages(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    from gigatok.pipeline.runner.display import LiveDisplay, Row

    progress = StageReport(tmp_path / "progress.jsonl")
    progress.phase, progress.step, progress.total = "train", 30, 120
    progress.loss, progress.images_per_second = 0.25, 150.0
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, force_terminal=True, width=110))
    row = Row(name="train_tokenizer@S-S", progress=progress, left=75.0)
    display.update(View(rows=[row], done=3, total=40, elapsed=61.0, left=Span(400.0, 900.0)))
    display.message("a [line] of its own")
    display.close()
    text = out.getvalue()
    for part in ("3/40 stages", "elapsed 1:01", "left 7-15 min", "train_tokenizer@S-S", "step 30/120", "0.25"):
        assert part in text
    assert "150" in text
    assert "1:15" in text
    assert "a [line] of its own" in text
