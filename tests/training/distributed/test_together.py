"""Processes begin together only what they all see alike, and share what takes long."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import forked
import numpy as np
import pytest
import torch
import torch.distributed as dist
from dvc_cache import cached, flip_byte

from gigatok.artifacts import RunFolder, RunIdentity
from gigatok.config import ArConfig, GigatokError
from gigatok.config.launch import LaunchSection
from gigatok.data import CorruptImageError
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.training import encode, generator_recipe, train_tokenizer
from gigatok.training.distributed import setup
from gigatok.training.distributed.setup import Processes
from gigatok.training.encode import encode_images
from gigatok.training.generator_recipe import validation_loss
from gigatok.training.resume.interruption import StopRequest
from gigatok.training.resume.lock import hold
from gigatok.training.resume.start import Request
from gigatok.training.resume.together import begin_together, meet
from gigatok.training.targets import open_targets
from gigatok.training.train_generator import generator_tokenizer, train_generator

pytestmark = pytest.mark.forks


def _begun(run: RunFolder, processes: Processes, images: str) -> str:
    request = Request("train_tokenizer@T", RunIdentity(settings={}, inputs={"images": images}, modules={}), ())
    return f"finished: {begin_together(run, request, processes).finished}"


def _port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def _ending(store: Path, port: str, work: Callable[[], None], processes: Processes) -> str:
    """How ``work``, which joins two processes as if torchrun had started them, ends on one of them."""
    leave = dist.destroy_process_group
    leave()
    rank = str(processes.rank)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK=rank, WORLD_SIZE=str(processes.world))
    try:
        work()
        return "done"
    except GigatokError as error:
        return f"{type(error).__name__}, exit code {error.exit_code}: {error}"
    except SystemExit as ended:
        return f"exit code {ended.code}"
    finally:
        if dist.is_initialized():  # who failed leaves without a farewell
            leave()
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=processes.rank, world_size=processes.world)


def watch_encoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Images of each pass, as this process makes them."""
    real, encoded = Tokenizer.encode, list[int]()

    def watch(self: Tokenizer, images: torch.Tensor) -> torch.Tensor:
        encoded.append(len(images))
        return real(self, images)

    monkeypatch.setattr(Tokenizer, "encode", watch)
    return encoded


def test_without_a_shared_file_system_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup, "SEEN_SECONDS", 0.3)

    def work(processes: Processes) -> str:
        meet(RunFolder(tmp_path / f"node-{processes.rank}" / "tokenizers" / "T"), processes, "gigatok.artifacts.files")
        return "met"

    said = forked.answers(tmp_path / "answers", 2, work)
    assert all(text.startswith("rank 1 of 2 cannot see what rank 0 writes into ") for text in said)
    assert not any("\n" in text for text in said)
    assert not list(tmp_path.glob("node-*/tokenizers"))


def test_processes_with_other_data_do_not_begin(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "tokenizers" / "T")
    said = forked.answers(tmp_path / "answers", 2, lambda processes: _begun(run, processes, f"of {processes.rank}"))
    assert all(text.startswith("rank 1 has settings, data and code ") for text in said)
    assert not run.path.exists()


def test_processes_that_see_the_same_begin(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "tokenizers" / "T")

    def work(processes: Processes) -> str:
        meet(run, processes, "gigatok.artifacts.files")
        return _begun(run, processes, "same")

    assert forked.answers(tmp_path / "answers", 2, work) == ["finished: False"] * 2
    assert list(run.lock_path.parent.iterdir()) == []


def test_indices_of_an_intermediate_checkpoint_are_encoded_by_all(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """18 training images in parts of 4, then 6 of validation: seven parts, of which each process takes its share."""
    monkeypatch.setattr(encode, "_BATCH", 4)
    keep = {"keep_steps": [4]}
    params = project.params(keep, {}, generators={"G": {"tokenizer": "T", "checkpoint": 4}})
    project.tokenizer(keep)
    path = project.workspace.generator("G").checkpoint_indices_path
    encoded = watch_encoding(monkeypatch)

    def work(processes: Processes) -> str:
        generator_tokenizer("G", params, project.workspace, project.data, processes)
        first = len(encoded)
        generator_tokenizer("G", params, project.workspace, project.data, processes)
        return f"{first} {len(encoded)}"

    assert forked.answers(tmp_path / "answers", 2, work) == ["4 4", "3 3"]
    shared = path.read_bytes()
    path.unlink()
    moves: list[str] = []

    def move(self: Tokenizer, device: torch.device) -> Tokenizer:
        moves.append(device.type)
        return self

    monkeypatch.setattr(Tokenizer, "to", move)
    generator_tokenizer("G", params, project.workspace, project.data, Processes(device=torch.device("cuda")))
    assert path.read_bytes() == shared
    assert moves == ["cuda", "cpu"]  # its memory is the generator's then


def test_lost_indices_of_a_finished_run_are_made_again_by_all(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 alone would keep the others waiting for longer than they wait for a process that hangs."""
    monkeypatch.setattr(encode, "_BATCH", 4)
    path = project.tokenizer().indices_path
    before = path.read_bytes()
    path.unlink()
    encoded = watch_encoding(monkeypatch)

    def work(processes: Processes) -> str:
        monkeypatch.setattr(train_tokenizer, "joined", lambda *_: nullcontext(processes))
        project.tokenizer()
        return str(len(encoded))

    said = forked.answers(tmp_path / "answers", 2, work)
    assert said == ["4", "3"]
    assert path.read_bytes() == before


@pytest.mark.filterwarnings("ignore:.*restored from DVC's cache")
def test_all_processes_read_what_rank_0_restored(project: Any, tmp_path: Path) -> None:
    """Whoever opened a damaged file before it was replaced would train on the damaged one."""
    semantic = {"loss": {"semantic_weight": 0.5}}
    project.store_teacher_features()
    features = project.workspace.teacher / "features.npy"
    noted = cached(project.workspace.root, features)[features.name]
    project.store_teacher_features(files={features.name: noted.model_dump()})
    sound = np.load(features)
    flip_byte(features)
    params = project.params(semantic, {}).seeded("tokenizer", "T")

    def work(processes: Processes) -> str:
        section, device = params.tokenizer_training("T"), torch.device("cpu")
        targets = open_targets(params.tokenizer_teacher("T"), section, project.data, project.workspace, device)
        assert targets is not None
        processes.wait()
        found = targets.sound(processes).source.of(np.arange(len(sound)), torch.zeros(0), 4)
        return str(np.array_equal(found.numpy(), sound.astype(np.float32)))

    assert forked.answers(tmp_path / "answers", 2, work) == ["True", "True"]


@pytest.mark.parametrize("world", [2, 4])
def test_the_validation_loss_is_shared_and_has_the_bits_of_one_process(
    world: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five batches, so that some processes have one less."""
    monkeypatch.setattr(generator_recipe, "_VALIDATION_BATCH", 3)
    torch.manual_seed(0)
    config = ArConfig(width=16, depth=1, heads=2, codebook_size=8, num_tokens=4, num_classes=2)
    model, tokens, classes = ArModel(config), torch.randint(8, (14, 4)), torch.randint(2, (14,))
    torch.nn.init.normal_(model.head.weight)
    passes: list[int] = []
    model.register_forward_hook(lambda *_: passes.append(1))

    def work(processes: Processes) -> str:
        passes.clear()
        loss = validation_loss(model, tokens, classes, device=processes.device, processes=processes)
        return f"{loss!r} {len(passes)}"

    expected = work(Processes())
    assert expected.endswith(" 5")
    said = forked.answers(tmp_path / "answers", world, work)
    assert said == [f"{expected[:-2]} {5 // world + 1}"] * world


def test_a_signal_to_one_process_ends_the_encoding_of_all_after_the_same_part(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "_BATCH", 4)
    tokenizer = load_tokenizer_dir(project.tokenizer().path)
    path = tmp_path / "i.npz"

    def work(processes: Processes) -> str:
        with StopRequest("train_tokenizer@T").heard() as stop:
            if processes.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            encode_images(tokenizer, project.data, path, "plain", "weights", processes, stop)
        return "went on"

    said = forked.answers(tmp_path / "answers", 2, work)
    assert all(text.startswith("train_tokenizer@T interrupted after part 2 of 7 of its indices") for text in said)
    kept = sorted(part.name for part in (tmp_path / ".i.npz.parts").iterdir())
    assert kept == ["train-000.npz", "train-001.npz"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CorruptImageError("cat.jpg", "broken"), "image cat.jpg cannot be read (broken): replace or remove it"),
        (OSError(errno.ENOSPC, "No space left on device", "i.npz"), "i.npz: "),
    ],
)
@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_process_cannot_encode_all_report(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, text: str, rank: int
) -> None:
    """Whoever failed alone would leave the others waiting for it."""
    monkeypatch.setattr(encode, "_BATCH", 4)
    tokenizer = load_tokenizer_dir(project.tokenizer().path)
    real = encode._encode

    def work(processes: Processes) -> str:
        def broken(*arguments: Any) -> Any:
            if processes.rank == rank:
                raise error
            return real(*arguments)

        encode._encode = broken  # type: ignore[assignment]
        encode_images(tokenizer, project.data, tmp_path / "i.npz", "plain", "weights", processes)
        return "went on"

    first, second = forked.answers(tmp_path / "answers", 2, work)
    assert first == second
    assert text in first


def test_what_rank_0_cannot_finish_all_report(project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = load_tokenizer_dir(project.tokenizer().path)
    full = OSError(errno.ENOSPC, "No space left on device", "i.npz")
    monkeypatch.setattr(encode, "write_indices", Mock(side_effect=full))

    def work(processes: Processes) -> str:
        encode_images(tokenizer, project.data, tmp_path / "i.npz", "plain", "weights", processes)
        return "went on"

    first, second = forked.answers(tmp_path / "answers", 2, work)
    assert first == second
    assert "i.npz: " in first


def test_an_error_of_one_process_does_not_wait_for_the_others(tmp_path: Path) -> None:
    """NCCL's farewell waits for all, who may wait for the one that failed: its message would be lost."""
    port = _port()

    def work(processes: Processes) -> str:
        def join() -> None:
            with setup.joined(torch.device("cpu")) as joined:
                setup.dist.destroy_process_group = partial(signal.pause)  # type: ignore[attr-defined]
                raise GigatokError(f"of rank {joined.rank} alone")

        return _ending(tmp_path / "again", port, join, processes)

    said = forked.answers(tmp_path / "answers", 2, work)
    assert said == [f"GigatokError, exit code 1: of rank {rank} alone" for rank in (0, 1)]


def test_processes_with_another_launch_section_do_not_begin(tmp_path: Path) -> None:
    """``params.yaml`` was edited between the start of one node and of another."""
    run = RunFolder(tmp_path / "tokenizers" / "T")

    def work(processes: Processes) -> str:
        meet(run, processes, "gigatok.artifacts.files", LaunchSection(micro_batch=processes.rank + 1))
        return "met"

    said = forked.answers(tmp_path / "answers", 2, work)
    assert all(text.startswith("rank 1 has settings and code ") for text in said)


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_a_training_that_is_started_twice_is_refused_by_all_and_said_once(
    project: Any, tmp_path: Path, kind: str
) -> None:
    """Rank 0 alone asks for the lock: the others must not wait for it, and be blamed when it has ended."""
    run = getattr(project.workspace, kind)("T" if kind == "tokenizer" else "G")
    params = project.params({"batch_size": 4}, {})
    train = {"tokenizer": partial(train_tokenizer.train_tokenizer, "T"), "generator": partial(train_generator, "G")}[
        kind
    ]
    port = _port()

    def work(processes: Processes) -> str:
        return _ending(tmp_path / "again", port, lambda: train(params, project.workspace), processes)

    with hold(run):
        first, second = forked.answers(tmp_path / "answers", 2, work)
    assert first.startswith(f"HeldError, exit code 1: {run.path} is being trained in by process {os.getpid()} on ")
    assert "\n" not in first
    assert second == "exit code 1"  # rank 0 says it
    assert not run.path.exists()


def test_damaged_indices_are_refused_by_all_and_said_once(project: Any, tmp_path: Path) -> None:
    """Rank 0 alone compares them with their hash: they are a file that the others can read."""
    path = project.tokenizer().indices_path
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "train": arrays["train"][:, ::-1, ::-1]})
    params = project.params({}, {})
    port = _port()

    def work(processes: Processes) -> str:
        return _ending(tmp_path / "again", port, lambda: train_generator("G", params, project.workspace), processes)

    first, second = forked.answers(tmp_path / "answers", 2, work)
    assert first.startswith(f"GigatokError, exit code 1: {path} is damaged or another run's")
    assert first.endswith("run its tokenizer's stage again, which makes it again")
    assert second == "exit code 1"  # rank 0 says it


def test_a_process_whose_gpu_is_not_found_is_named_before_the_others_wait_for_it(tmp_path: Path) -> None:
    """``device: auto`` falls back to the CPU where a driver is broken; the others would wait for it in NCCL."""
    port = _port()

    def work(processes: Processes) -> str:
        def join() -> None:
            with setup.joined(torch.device("cuda" if processes.main else "cpu")):
                pass

        return _ending(tmp_path / "again", port, join, processes)

    first, second = forked.answers(tmp_path / "answers", 2, work)
    assert first.startswith(
        f"GigatokError, exit code 1: rank 1 on node {socket.gethostname()} computes on cpu, rank 0 on node "
    )
    assert second == "exit code 1"  # rank 0 says it


def test_what_all_decide_waits_for_no_gpu(tmp_path: Path) -> None:
    """At each step they ask each other whether to stop: the answer must not need what the GPU still has to do."""

    def work(processes: Processes) -> str:
        without_values = processes._replace(device=torch.device("meta"), deciding=dist.new_group(backend="gloo"))
        return f"{without_values.any(processes.rank == 1)} {without_values.largest(float(processes.rank))}"

    assert forked.answers(tmp_path / "answers", 2, work) == ["True 1.0"] * 2
