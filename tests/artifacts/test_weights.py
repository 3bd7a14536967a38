import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from gigatok.artifacts import load_weights, save_weights
from gigatok.config import GigatokError


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    shared = torch.arange(6.0).reshape(2, 3)
    state = {"a": shared, "tied": shared, "b": shared.t(), "half": torch.ones(2, dtype=torch.bfloat16)}
    save_weights(path, state, {"step": 7, "name": "S-S"})
    loaded = load_weights(path)
    assert set(loaded) == set(state)
    assert all(
        torch.equal(loaded[name], tensor) and loaded[name].dtype == tensor.dtype for name, tensor in state.items()
    )
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["gigatok"]) == {"step": 7, "name": "S-S"}


def test_equal_tensors_give_equal_bytes(tmp_path: Path) -> None:
    metadata = {f"key{number}": number for number in range(8)}  # several entries would come in random order
    for name in ("a", "b", "c"):
        save_weights(tmp_path / name, {"x": torch.ones(3), "y": torch.zeros(2)}, metadata)
    assert len({(tmp_path / name).read_bytes() for name in ("a", "b", "c")}) == 1


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(path, {"x": torch.ones(1000)}, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(GigatokError, match="cut short"):
        load_weights(path)


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"x": torch.ones(1)}, path)
    with pytest.raises(GigatokError, match="no safetensors file"):
        load_weights(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match="does not exist"):
        load_weights(tmp_path / "weights.safetensors")
