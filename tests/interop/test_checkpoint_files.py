"""Checkpoint files are read without running anything in them."""

from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gigatok.config import GigatokError
from gigatok.interop.files import read_checkpoint, state_in

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(())}


class Hostile:
    """Unpickling this creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


class HostileNamespace(argparse.Namespace):
    """Looks like the released files' ``args``, but is another class."""


def test_released_layout_is_read(tmp_path: Path) -> None:
    path = tmp_path / "released.pt"
    args = argparse.Namespace(vq_model="VQ-16", lr=1e-4, nested={"betas": [0.9, 0.95]})
    torch.save({"model": STATE, "ema": STATE, "optimizer": {"state": {}}, "steps": 7, "args": args}, path)
    content = read_checkpoint(path)
    assert content["args"].vq_model == "VQ-16"
    assert torch.equal(content["model"]["a.weight"], STATE["a.weight"])


@pytest.mark.parametrize("layout", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("place", ["args", "model", "inside args"])
def test_hostile_pickles_are_refused_and_not_run(layout: str, place: str, tmp_path: Path) -> None:
    path, marker = tmp_path / "hostile.pt", tmp_path / "marker"
    bomb = Hostile(marker)
    content: dict[str, Any] = {"model": dict(STATE), "args": argparse.Namespace()}
    if place == "args":
        content["args"] = bomb
    elif place == "model":
        content["model"]["a.weight"] = bomb
    else:
        content["args"].lr = bomb
    if layout == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=layout == "zip")
    with pytest.raises(GigatokError, match=r"refused and was not run.*safetensors"):
        read_checkpoint(path)
    assert not marker.exists()
    # The same file does create the marker when it is unpickled: the test would notice.
    torch.load(path, weights_only=False) if layout != "pickle" else pickle.loads(path.read_bytes())
    assert marker.exists()


def test_only_namespace_itself_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    torch.save({"model": STATE, "args": HostileNamespace()}, path)
    with pytest.raises(GigatokError, match="HostileNamespace"):
        read_checkpoint(path)
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("size", [0, 10, 0.5, 0.99])
def test_torn_files_are_named(size: float, tmp_path: Path) -> None:
    path = tmp_path / "torn.pt"
    torch.save({"model": {"a": torch.randn(1000)}}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: size if size >= 1 or not size else int(size * len(whole))])  # type: ignore[misc]
    with pytest.raises(GigatokError, match=r"torn\.pt") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match=r"nowhere\.pt does not exist"):
        read_checkpoint(tmp_path / "nowhere.pt")


def test_safetensors_and_legacy_files_are_read(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    torch.save(STATE, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "a.pt"):
        assert torch.equal(read_checkpoint(tmp_path / name)["a.weight"], STATE["a.weight"])


def test_where_the_state_dict_lies() -> None:
    both = {"model": {"x": torch.zeros(1)}, "ema": {"x": torch.ones(1)}, "steps": 3}
    assert state_in(both, ("ema", "model"))[1] == "ema"
    assert state_in(both, ("model", "ema"))[1] == "model"
    assert state_in({**both, "ema": None}, ("ema", "model"))[1] == "model"
    assert state_in(STATE, ("ema", "model")) == (STATE, ".", ())
    assert state_in({"state_dict": STATE, "epoch": 3}, ("ema", "model")) == (STATE, "state_dict", ())


@pytest.mark.parametrize("content", [{}, {"steps": 3}, {"model": {"x": 3}}])
def test_no_state_dict_is_an_error(content: dict[str, Any]) -> None:
    with pytest.raises(GigatokError, match="no state dict"):
        state_in(content, ("model",))


def test_a_bare_tensor_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save(torch.ones(2), tmp_path / "tensor.pt")
    with pytest.raises(GigatokError, match="holds a Tensor, not a dict"):
        read_checkpoint(tmp_path / "tensor.pt")


PREFIXES = ("module.", "_orig_mod.", "module._orig_mod.", "_fsdp_wrapped_module.")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_wrappers_add_to_names_is_taken_off_and_said(prefix: str) -> None:
    found = state_in({"model": {prefix + name: value for name, value in STATE.items()}}, ("model",))
    assert found.tensors.keys() == STATE.keys()
    assert found.removed == tuple(sorted(f"{part}." for part in prefix.split(".") if part))


def test_wrappers_inside_names_and_lightnings_model_are_taken_off_too() -> None:
    state = {"model.blocks.0._checkpoint_wrapped_module.weight": torch.ones(1), "model.b": torch.ones(1)}
    found = state_in({"state_dict": state}, ("model",))
    assert set(found.tensors) == {"blocks.0.weight", "b"}
    assert (found.key, found.removed) == ("state_dict", ("_checkpoint_wrapped_module.", "model."))
    with pytest.raises(GigatokError, match=r"holds a tensor twice, with and without module\."):
        state_in({"module.a": torch.ones(1), "a": torch.ones(1)}, ())


@pytest.mark.parametrize("layout", ["zip", "legacy"])
def test_a_damaged_file_is_called_damaged_and_nobody_is_told_to_run_it(layout: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt"
    torch.save({"model": {"a": torch.randn(50)}}, path, _use_new_zipfile_serialization=layout == "zip")
    whole = path.read_bytes()
    messages = []
    for place in range(60, len(whole), max(len(whole) // 40, 1)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x5A]) + whole[place + 1 :])
        try:
            read_checkpoint(path)
        except GigatokError as error:
            messages.append(str(error))
    assert len(messages) > 10 or layout == "legacy"
    assert not [text for text in messages if "weights_only" in text or "\n" in text]
    if layout == "zip":
        assert all("is cut short or no torch checkpoint" in text for text in messages), messages


def test_an_archive_that_expands_is_refused_before_it_does(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    torch.save({"model": {"a": torch.zeros(100_000)}}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(GigatokError, match=r"compressed records .* which torch never writes"):
        read_checkpoint(tmp_path / "small.pt")


def test_a_pipe_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(GigatokError, match="does not exist"):
        read_checkpoint(tmp_path / "pipe.pt")
