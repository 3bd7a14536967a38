"""What becomes of a run's folder when a training starts: nothing is lost or silent, nothing damaged is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from dvc_cache import fill_cache, flip_byte

from gigatok.artifacts import (
    Journal,
    RunFolder,
    RunIdentity,
    Workspace,
    file_sha256,
    read_resumptions,
    save_state,
    write_json,
)
from gigatok.artifacts.outputs.digests import digests_of
from gigatok.training.resume import finished
from gigatok.training.resume.provenance import (
    begin_provenance,
    end_provenance,
    identified,
    read_provenance,
    what_is_known,
)
from gigatok.training.resume.start import Request, Start, begin

HALF = RunIdentity(settings={"loss.l1_weight": 0.5}, inputs={"images": "a"}, modules={"gigatok.models.vit": "m"})
QUARTER = HALF.replace(settings={"loss.l1_weight": 0.25})
EDITED = HALF.replace(modules={"gigatok.models.vit": "n"})
FILES = ("weights.safetensors", "indices.npz", "config.json", "curves.json")
CHECKPOINT = "checkpoints/step-0000004.safetensors"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return Workspace(tmp_path).tokenizer("T")


def request(run: RunFolder, identity: RunIdentity, **fields: Any) -> Request:
    return Request("train_tokenizer@T", identity, tuple(run.path / name for name in FILES), **fields)


def finish(run: RunFolder, identity: RunIdentity, weights: bytes = b"weights", *, keep: bool = False) -> None:
    """A finished run with what training leaves, the weights of step 4 among it where it had to ``keep`` them."""
    run.path.mkdir(parents=True, exist_ok=True)
    for name, content in zip(FILES[:2], (weights, b"indices of " + weights), strict=True):
        (run.path / name).write_bytes(content)
    write_json(run.config_path, {"kind": "tokenizer", "metadata": {}})
    Journal(run.journal_path).log(8, {"loss": 0.25, "images_per_second": 99.0, "peak_memory_mib": 9.0})
    write_json(run.curves_path, {"loss": [[8, 0.25]]})
    if keep:
        run.checkpoint_path(4).parent.mkdir()
        run.checkpoint_path(4).write_bytes(b"weights of step 4")
    begun = begin_provenance(run, identified(identity, ()), resumed=False)
    end_provenance(run, begun, digests_of(run.path, [*FILES, *([CHECKPOINT] if keep else [])]), 1.0, 8.0)
    finished.remember(run)


def stop(run: RunFolder, identity: RunIdentity, step: int) -> None:
    """A run that was interrupted."""
    begin_provenance(run, identified(identity, ()), resumed=False)
    Journal(run.journal_path).log(step, {"loss": 0.5})
    save_state(run.state_dir, {"value": torch.zeros(1)}, {"step": step, "seconds": 1.0, **identified(identity, ())})


def whole(run: RunFolder) -> dict[str, bytes]:
    return {path.relative_to(run.path).as_posix(): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}


def old(run: RunFolder, number: int) -> RunFolder:
    return RunFolder(run.path.parent.parent / ".old" / f"tokenizers-T-{number}")


def lines(capsys: Any) -> list[str]:
    found: list[str] = capsys.readouterr().out.splitlines()
    return found


def test_a_finished_run_is_kept_as_it_is_without_a_word(run: RunFolder, capsys: Any) -> None:
    finish(run, HALF)
    before = whole(run)
    assert begin(run, request(run, HALF)) == Start(True, ())
    assert whole(run) == before
    assert lines(capsys) == []


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_never_taken_for_a_result(run: RunFolder, capsys: Any, name: str) -> None:
    finish(run, HALF)
    sound = whole(run)
    content = bytearray(sound[name])
    content[len(content) // 2] ^= 1
    (run.path / name).write_bytes(content)
    remake = {run.indices_path: lambda: run.indices_path.write_bytes(b"indices of weights")}
    start = begin(run, request(run, HALF, remake=remake))
    text = "\n".join(lines(capsys))
    assert f"{run.path / name} is damaged or another run's (SHA-256 differs)" in text
    if name in ("indices.npz", "curves.json"):
        assert start.finished
        assert "made again\n" in text + "\n"
        assert {each: whole(run)[each] for each in FILES} == {each: sound[each] for each in FILES}
    else:
        assert not start.finished
        assert "trains again from step 0" in text


def test_a_missing_file_comes_back_from_dvcs_cache(run: RunFolder, capsys: Any, tmp_path: Path) -> None:
    finish(run, HALF)
    fill_cache(tmp_path, run.path, FILES)
    sound = whole(run)
    run.weights_path.write_bytes(b"weightz")
    run.indices_path.unlink()
    assert begin(run, request(run, HALF)).finished
    assert whole(run) == sound
    first, second = sorted(lines(capsys))
    assert first.endswith("indices.npz is missing: restored from DVC's cache")
    assert second.endswith(
        "weights.safetensors is damaged or another run's (SHA-256 differs): restored from DVC's cache"
    )


def test_a_damaged_cache_is_no_source(run: RunFolder, capsys: Any, tmp_path: Path) -> None:
    finish(run, HALF)
    for path in fill_cache(tmp_path, run.path, FILES):
        path.chmod(0o644)
        path.write_bytes(b"x" + path.read_bytes()[1:])
    run.weights_path.write_bytes(b"weightz")
    assert not begin(run, request(run, HALF)).finished
    assert "trains again from step 0" in lines(capsys)[0]
    assert not list(run.path.glob(".*.part"))


def test_going_back_finds_the_first_training(run: RunFolder, capsys: Any) -> None:
    finish(run, HALF, b"first")
    first = whole(run)
    assert not begin(run, request(run, QUARTER)).finished
    assert "the finished run" in (said := lines(capsys)[0])
    assert "differs in loss.l1_weight 0.5 -> 0.25: moved to" in said
    assert whole(old(run, 1)) == first
    finish(run, QUARTER, b"second")
    second = whole(run)
    assert begin(run, request(run, HALF)).finished
    assert whole(run) == first
    assert whole(old(run, 2)) == second
    assert not old(run, 1).path.exists()
    assert any("brought back from" in line for line in lines(capsys))


def test_going_back_finds_the_first_training_in_dvcs_cache(run: RunFolder, capsys: Any, tmp_path: Path) -> None:
    finish(run, HALF, b"first")
    fill_cache(tmp_path, run.path, FILES)
    outputs = {name: whole(run)[name] for name in FILES}
    for path in run.path.iterdir():
        path.unlink()
    finish(run, QUARTER, b"second")
    assert begin(run, request(run, HALF)).finished
    assert {name: whole(run)[name] for name in FILES} == outputs
    assert what_is_known(run).identity == HALF
    assert "its files are restored from DVC's cache" in lines(capsys)[-1]


def test_going_back_finds_an_unfinished_training_too(run: RunFolder) -> None:
    stop(run, HALF, 300)
    assert not begin(run, request(run, QUARTER)).finished
    stop(run, QUARTER, 20)
    assert not begin(run, request(run, HALF)).finished
    assert what_is_known(run).step == 300
    assert what_is_known(old(run, 2)).step == 20


@pytest.mark.parametrize(
    ("other", "what"), [(QUARTER, "loss.l1_weight 0.5 -> 0.25"), (EDITED, "module gigatok.models.vit")]
)
def test_an_unfinished_other_run_is_kept_whole_and_named(
    run: RunFolder, capsys: Any, other: RunIdentity, what: str
) -> None:
    stop(run, HALF, 300)
    before = whole(run)
    assert begin(run, request(run, other)) == Start(False, ())
    (line,) = lines(capsys)
    assert f"(step 300) differs in {what}: kept whole in {old(run, 1).path}" in line
    assert line.endswith("gigatok-bench repro --resume-anyway train_tokenizer@T")
    assert whole(old(run, 1)) == before
    assert list(whole(run)) == ["provenance.json"]


def test_resume_anyway_takes_the_other_runs_state_and_says_so_for_good(run: RunFolder, capsys: Any) -> None:
    stop(run, HALF, 300)
    start = begin(run, request(run, QUARTER, resume_anyway=True))
    assert not start.finished
    (resumption,) = start.resumptions
    assert (resumption.run, resumption.step) == ("tokenizers/T", 300)
    assert [str(each) for each in resumption.differences or ()] == ["loss.l1_weight 0.5 -> 0.25"]
    assert "resumes after step 300 although it differs in loss.l1_weight 0.5 -> 0.25" in lines(capsys)[0]
    begin_provenance(
        run, identified(QUARTER, start.resumptions), resumed=True
    )  # as the session does, once it is loaded
    again = begin(run, request(run, QUARTER))
    assert again == start
    for damage in (b"{", None):
        save_state(run.state_dir, {}, {"step": 301, "seconds": 1.0, **identified(QUARTER, start.resumptions)})
        run.provenance_path.unlink() if damage is None else run.provenance_path.write_bytes(damage)
        assert begin(run, request(run, QUARTER)) == start


def test_resume_anyway_finds_the_run_that_was_set_aside(run: RunFolder, capsys: Any) -> None:
    """The user reads the line that says so, and gives the command that it names."""
    stop(run, HALF, 300)
    begin(run, request(run, QUARTER))
    stop(run, QUARTER, 3)
    start = begin(run, request(run, QUARTER, resume_anyway=True))
    assert start.resumptions[0].step == 300
    assert what_is_known(run).step == 300
    assert what_is_known(old(run, 2)).step == 3


def test_resume_anyway_takes_a_finished_run_and_notes_it_in_its_description(run: RunFolder) -> None:
    finish(run, HALF)
    start = begin(run, request(run, EDITED, resume_anyway=True))
    assert start.finished
    assert read_resumptions(run.config_path) == start.resumptions
    assert begin(run, request(run, EDITED)) == start


@pytest.mark.parametrize("leave", [lambda run: stop(run, HALF, 300), lambda run: finish(run, HALF)])
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"complete": true}', b"\xff\xfe"])
def test_a_damaged_provenance_costs_no_training(
    run: RunFolder, capsys: Any, content: bytes | None, leave: Callable[[RunFolder], None]
) -> None:
    leave(run)
    run.provenance_path.unlink() if content is None else run.provenance_path.write_bytes(content)
    start = begin(run, request(run, HALF))
    assert start.finished == run.weights_path.exists()
    assert what_is_known(run).step == (0 if start.finished else 300)
    assert read_provenance(run)["fingerprint"] == HALF.fingerprint
    assert "provenance.json" in lines(capsys)[0]
    assert not old(run, 1).path.exists()


def test_a_lost_state_is_said(run: RunFolder, capsys: Any) -> None:
    stop(run, HALF, 300)
    for path in run.state_dir.rglob("*.distcp"):
        path.write_bytes(b"zero")
    assert begin(run, request(run, HALF)) == Start(False, ())
    assert "no readable state is left of the 300 steps that were made: starts at step 0" in lines(capsys)[0]


def test_files_of_earlier_versions_are_read(run: RunFolder, capsys: Any) -> None:
    """Their provenance has a fingerprint, and neither identity nor hashes."""
    finish(run, HALF)
    known = json.loads(run.provenance_path.read_text())
    write_json(run.provenance_path, {"fingerprint": "0123", "complete": True, "seconds": known["seconds"]})
    for path in (run.path.parent.parent / ".finished").iterdir():
        path.unlink()
    before = whole(run)
    assert not begin(run, request(run, HALF)).finished
    assert "settings or code that an earlier version did not record" in lines(capsys)[0]
    assert whole(old(run, 1)) == before
    run.provenance_path.unlink()
    run.take_back(old(run, 1).path)
    start = begin(run, request(run, HALF, resume_anyway=True))
    assert start.finished
    assert start.resumptions[0].differences is None


def test_files_of_unknown_origin_are_moved(run: RunFolder, capsys: Any) -> None:
    run.path.mkdir(parents=True)
    run.weights_path.write_text("someone's")
    assert not begin(run, request(run, HALF)).finished
    assert (old(run, 1).path / "weights.safetensors").read_text() == "someone's"
    assert f"moved to {old(run, 1).path}" in lines(capsys)[0]


def test_what_a_killed_start_leaves_makes_no_old_folder(run: RunFolder, capsys: Any) -> None:
    begin_provenance(run, identified(QUARTER, ()), resumed=False)
    (run.path / "tracking.json").write_text("{}")
    begin(run, request(run, HALF))
    assert list(whole(run)) == ["provenance.json"]
    assert not old(run, 1).path.parent.exists()
    assert lines(capsys) == []


def test_weights_that_were_passed_without_keeping_them(run: RunFolder, capsys: Any) -> None:
    stop(run, HALF, 300)
    kept = {"keep_steps": (200, 400)}
    assert begin(run, request(run, HALF, **kept)) == Start(False, ())
    assert "differs in weights of step 200, which was passed without keeping them" in lines(capsys)[0]
    start = begin(run, request(run, HALF, resume_anyway=True, **kept))
    assert start.resumptions[0].step == 300
    run.checkpoint_path(400).parent.mkdir()
    run.checkpoint_path(400).write_bytes(b"kept")
    begun = begin_provenance(run, identified(HALF, start.resumptions), resumed=True)
    for name in FILES:
        (run.path / name).write_bytes(b"{}")
    end_provenance(run, begun, digests_of(run.path, [*FILES, "checkpoints/step-0000400.safetensors"]), 1.0, 1.0)
    assert begin(run, request(run, HALF, **kept)).finished


def test_a_finished_run_without_weights_that_are_asked_for_later_is_kept(run: RunFolder) -> None:
    finish(run, HALF)
    before = whole(run)
    assert not begin(run, request(run, HALF, keep_steps=(4,))).finished
    assert whole(old(run, 1)) == before
    assert begin(run, request(run, HALF)).finished
    assert whole(run) == before


def test_states_that_a_killed_end_left_are_dropped(run: RunFolder) -> None:
    stop(run, HALF, 8)
    states: Callable[[], list[Path]] = lambda: list(run.state_dir.glob("*"))  # noqa: E731
    finish(run, HALF)
    assert states()
    assert begin(run, request(run, HALF)).finished
    assert not states()


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", [*FILES, CHECKPOINT])
def test_resume_anyway_takes_no_damaged_file_for_the_truth(
    run: RunFolder, capsys: Any, tmp_path: Path, name: str, kept: bool
) -> None:
    """A flipped byte is no result of the other settings either; DVC's cache may hold the sound file."""
    finish(run, HALF, keep=True)
    sound = whole(run)
    if kept:
        fill_cache(tmp_path, run.path, [*FILES, CHECKPOINT])
    flip_byte(run.path / name)
    remake = {run.indices_path: lambda: run.indices_path.write_bytes(b"indices of weights")}
    start = begin(run, request(run, EDITED, keep_steps=(4,), resume_anyway=True, remake=remake))
    text = "\n".join(lines(capsys))
    again = kept or name in ("indices.npz", "curves.json")
    assert start.finished == again
    if again:
        outputs = {each: whole(run)[each] for each in (*FILES, CHECKPOINT) if each != "config.json"}
        assert outputs == {each: sound[each] for each in outputs}
        assert read_resumptions(run.config_path) == start.resumptions
        assert begin(run, request(run, EDITED, keep_steps=(4,))) == start
    else:
        assert f"{name} is damaged" in text
        assert "the run is not taken over" in text
        assert (old(run, 1).path / name).exists()


def test_a_state_that_a_killed_end_left_makes_no_damaged_run_acceptable(run: RunFolder) -> None:
    stop(run, HALF, 8)
    finish(run, HALF)
    flip_byte(run.weights_path)
    assert not begin(run, request(run, EDITED, resume_anyway=True)).finished
    assert (old(run, 1).path / "weights.safetensors").exists()


def test_curves_come_back_though_scoring_wrote_to_the_journal_and_a_loss_was_not_finite(run: RunFolder) -> None:
    finish(run, HALF)
    sound = run.curves_path.read_bytes()
    Journal(run.journal_path).log(8, {"adversarial": float("nan"), "gradient_norm": float("inf")})
    Journal(run.journal_path).log(1, {"guidance/gfid": 9.0, "guidance/scale": 1.5})
    run.curves_path.unlink()
    assert begin(run, request(run, HALF)).finished
    assert run.curves_path.read_bytes() == sound


@pytest.mark.parametrize("journal", [None, {"loss": 0.75}, {"loss": 0.25, "other": 1.0}])
@pytest.mark.parametrize("anyway", [False, True])
def test_curves_that_the_journal_does_not_give_are_said_to_be_lost(
    run: RunFolder, capsys: Any, journal: dict[str, float] | None, anyway: bool
) -> None:
    """The journal is missing or another training's. The weights are kept; no curve is made up."""
    finish(run, HALF)
    before = read_provenance(run)["outputs"]["curves.json"]
    run.journal_path.unlink()
    if journal is not None:
        Journal(run.journal_path).log(8, journal)
    flip_byte(run.curves_path)
    asked = request(run, EDITED if anyway else HALF, resume_anyway=anyway)
    start = begin(run, asked)
    assert start.finished
    (line,) = [line for line in lines(capsys) if "curves.json" in line]
    assert line.endswith("the weights are kept, their curves are lost and left empty")
    assert json.loads(run.curves_path.read_text()) == {}
    known = read_provenance(run)
    assert known["lost"] == {"curves.json": before}
    assert known["outputs"]["weights.safetensors"]["sha256"] == file_sha256(run.weights_path)
    assert begin(run, asked) == start
    assert lines(capsys) == []
