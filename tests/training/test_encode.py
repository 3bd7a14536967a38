"""Encoding of all images in parts: resumed, shared, and never of other weights."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gigatok.data import ImageSet
from gigatok.interop.native import load_tokenizer_dir
from gigatok.models import Tokenizer
from gigatok.training import encode
from gigatok.training.encode import encode_images, stored_source
from gigatok.training.resume.interruption import InterruptedRunError


@pytest.fixture
def tokenizer(project: Any, monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """A trained tokenizer, and batches so small that 18 training images are five parts of at most four."""
    monkeypatch.setattr(encode, "_BATCH", 4)
    return load_tokenizer_dir(project.tokenizer().path)


def encoded_images(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[int]:
    """Images of each call of ``encode``; the call of number ``stop_at`` fails."""
    real, made = Tokenizer.encode, []

    def watch(self: Tokenizer, images: torch.Tensor) -> torch.Tensor:
        if len(made) == stop_at:
            raise KeyboardInterrupt
        made.append(len(images))
        return real(self, images)

    monkeypatch.setattr(Tokenizer, "encode", watch)
    return made


@pytest.mark.parametrize("crops", ["plain", "ten-crop"])
def test_an_interrupted_encoding_goes_on_with_the_parts_that_are_missing(
    project: Any, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crops: str
) -> None:
    whole, path, each = tmp_path / "whole" / "i.npz", tmp_path / "i.npz", 10 if crops == "ten-crop" else 1
    encode_images(tokenizer, project.data, whole, crops, "weights")
    with monkeypatch.context() as patch:
        encoded_images(patch, stop_at=2 * each)
        with pytest.raises(KeyboardInterrupt):
            encode_images(tokenizer, project.data, path, crops, "weights")
    assert not path.exists()
    made = encoded_images(monkeypatch)
    encode_images(tokenizer, project.data, path, crops, "weights")
    assert made == [4] * 2 * each + [2] * each + [4, 2]
    assert path.read_bytes() == whole.read_bytes()
    assert list(tmp_path.glob(".*")) == list(whole.parent.glob(".*")) == []


def test_large_images_are_encoded_a_few_at_a_time(
    project: Any, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, few = tmp_path / "whole.npz", tmp_path / "few.npz"
    encode_images(tokenizer, project.data, whole, "plain", "weights")
    monkeypatch.setattr(encode, "_PIXELS", 3 * project.data.train.uint8().shape[1] ** 2)
    made = encoded_images(monkeypatch)
    encode_images(tokenizer, project.data, few, "plain", "weights")
    assert made == [3, 1] * 4 + [2] + [3, 1, 2]
    assert few.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("side", "count"), [(32, 128), (64, 128), (128, 32), (256, 8), (1024, 1)])
def test_how_many_images_pass_at_once(side: int, count: int) -> None:
    assert encode.images_at_once(torch.empty(1, 3, side, side, device="meta")) == count


def test_parts_of_other_weights_and_damaged_ones_are_made_again(
    project: Any, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "i.npz"
    with monkeypatch.context() as patch:
        encoded_images(patch, stop_at=4)
        with pytest.raises(KeyboardInterrupt):
            encode_images(tokenizer, project.data, path, "plain", "weights")
    parts = sorted((tmp_path / ".i.npz.parts").iterdir())
    assert [part.name for part in parts] == [f"train-{number:03d}.npz" for number in range(4)]
    parts[1].write_bytes(parts[1].read_bytes()[:-9])
    np.savez(parts[2], indices=np.zeros((4, 1, 16), np.uint16), source=np.array("other weights"))
    made = encoded_images(monkeypatch)
    encode_images(tokenizer, project.data, path, "plain", "weights")
    assert made == [4, 4, 2, 4, 2]
    assert stored_source(path) == "weights"
    with np.load(path) as stored, torch.inference_mode():
        images = torch.from_numpy(project.data.train.uint8().transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
        np.testing.assert_array_equal(stored["train"][:, 0], tokenizer.encode(images).numpy())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_encoding_after_a_part_and_the_next_run_goes_on(
    new_project: Callable[..., Any], same_results: Any, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(encode, "_BATCH", 4)
    whole, project = new_project("whole").tokenizer(), new_project("stopped")
    real, made = encode._encode, list[str]()

    def signalled(tokenizer: Tokenizer, side: encode._Side, part: int) -> Any:
        made.append(f"{side.name} {part}")
        if len(made) == 3:
            os.kill(os.getpid(), number)
        return real(tokenizer, side, part)

    monkeypatch.setattr(encode, "_encode", signalled)
    before = signal.getsignal(number)
    with pytest.raises(InterruptedRunError, match=r"train_tokenizer@T interrupted after part 3 of 7") as caught:
        project.tokenizer()
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before
    run = project.tokenizer()
    assert made == [*(f"train {part}" for part in range(5)), "validation 0", "validation 1"]  # by both runs together
    same_results(whole, run)
    assert not list(run.path.glob(".*"))


@pytest.mark.parametrize(("images", "parts", "rows"), [(1, 1, 128), (3000, 24, 128), (1_281_167, 251, 5120)])
def test_parts_are_whole_batches_and_do_not_depend_on_who_shares_them(images: int, parts: int, rows: int) -> None:
    class Many(ImageSet):
        def __init__(self) -> None: ...

        def __len__(self) -> int:
            return images

    side = encode._Side("train", Many(), 1)
    assert (side.parts, side.rows) == (parts, rows)
    assert [row for number in range(parts) for row in (side.range(number)[0], side.range(number)[-1])][-1] == images - 1
