"""``gigatok-bench runs compare``: names are whole or can be, sides are named in the order of time."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.artifacts import Protocol, RunFolder, RunIdentity, Score, ScoreSheet, Workspace, write_json
from gigatok.pipeline.trainings.comparison import compare
from gigatok.pipeline.trainings.previous import find_with_run_before

LONG = "tokenizer_probe_accuracy_step_11000/a-long-extractor-name"
PROTOCOL = Protocol(extractor="tiny", sample_count=36)


def _train(root: Path, day: int, weight: float, metric: str = LONG) -> RunFolder:
    run = Workspace(root).tokenizer("S-S")
    made = RunIdentity.of({"train_tokenizer": {"steps": 12, "loss": {"l2_weight": weight}}}, {}, {})
    known = {"fingerprint": made.fingerprint, "identity": made.model_dump(mode="json"), "complete": True}
    write_json(run.provenance_path, {**known, "finished": f"2026-11-{day:02}T09:30:00Z", "commit": f"{day:02}ab" * 10})
    scores = [
        Score(metric=name, value=day / 7, interval=(day / 8, day / 6), protocol=PROTOCOL) for name in ("fid", metric)
    ]
    ScoreSheet(name="S-S", kind="tokenizer", scores=tuple(scores)).write(run.summary_path)
    return run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three trainings of S-S: on the 2nd, the 10th and, current, the 18th."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    for day, weight in ((2, 0.5), (10, 0.25)):
        _train(tmp_path, day, weight).set_aside()
    _train(tmp_path, 18, 2.0, "only_here")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_earlier_training_is_left_of_the_arrow(command: Command, root: Path) -> None:
    out = command("runs", "compare", "S-S").out
    assert "Made of, before -> now\n  train_tokenizer.loss.l2_weight 0.25 -> 2" in out
    assert "Made of, B -> A\n  train_tokenizer.loss.l2_weight 0.25 -> 2" in command(
        "runs", "compare", "S-S", ".old/tokenizers-S-S-2"
    ).out  # fmt: skip


def test_what_one_side_has_says_so_and_no_name_is_cut_for_good(command: Command, root: Path) -> None:
    out = command("runs", "compare", "S-S").out
    assert "only before" in out
    assert "only now" in out
    assert LONG not in out
    assert "--wide shows names whole" in out
    assert max(map(len, out.splitlines())) <= 80
    assert LONG in command("runs", "compare", "S-S", "--wide").out
    table = command("runs", "compare", "S-S", "--columns", "verdict").out.partition("Scores\n")[2]
    assert table.splitlines()[0].split() == ["metric", "verdict"]
    assert command("runs", "compare", "S-S", "--columns", "verdikt").status == 2


@pytest.mark.parametrize(
    ("moment", "found"),
    [
        ("2026-11-09", ".old/tokenizers-S-S-1"),
        ("2026-11-12", ".old/tokenizers-S-S-2"),
        ("2026-11-10T09:30", ".old/tokenizers-S-S-1"),
        ("2026-11-10T11:31+02:00", ".old/tokenizers-S-S-2"),
        ("02ab02", ".old/tokenizers-S-S-1"),
    ],
)
def test_the_run_of_a_date_is_the_last_that_had_ended(root: Path, moment: str, found: str) -> None:
    now, before = find_with_run_before(root, "S-S", moment)
    assert (now.place, before.place) == ("tokenizers/S-S", found)
    assert compare(now, before).scores


def test_a_date_that_fits_nothing_says_what_there_is(command: Command, root: Path) -> None:
    assert (
        "there is 2026-11-10T09:30, 2026-11-02T09:30" in command("runs", "compare", "S-S", "--before", "2026-11-01").err
    )
    assert "--before 'last week' is no date" in command("runs", "compare", "S-S", "--before", "last week").err
    assert command("runs", "compare", "S-S", "S-S", "--before", "2026-11-12").status == 2
