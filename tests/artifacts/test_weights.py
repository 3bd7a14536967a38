import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gigatok.artifacts import load_weights, save_weights
from gigatok.artifacts.weights import in_file_order, require_sound
from gigatok.config import GigatokError

TYPES = (torch.float32, torch.int64, torch.bfloat16, torch.bool, torch.float16, torch.float64, torch.uint8,
         torch.int8, torch.int16, torch.int32)  # fmt: skip


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


def test_the_file_is_what_safetensors_itself_writes(tmp_path: Path) -> None:
    """Byte by byte, for all types of weights, odd names and shapes, and views."""
    generator = torch.Generator().manual_seed(0)
    for case in range(20):
        state: dict[str, torch.Tensor] = {}
        for number in torch.randperm(40, generator=generator)[: 3 + case].tolist():
            shape = torch.randint(0, 5, (number % 4,), generator=generator).tolist()
            value = torch.randint(-9, 9, shape, generator=generator).to(TYPES[number % len(TYPES)])
            state[f"{'wéights' if number % 3 else 'B.a'}.{number}\n"] = value.t() if value.dim() == 2 else value
        save_weights(tmp_path / "ours", state, {"case": case, "name": "ü"})
        theirs = {name: value.contiguous() for name, value in state.items()}
        save_file(theirs, tmp_path / "theirs", metadata={"gigatok": json.dumps({"case": case, "name": "ü"})})
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_tensors_may_come_one_after_the_other(tmp_path: Path) -> None:
    state = {"b": torch.ones(3), "a": torch.zeros(2), "c": torch.ones(1, dtype=torch.int64)}
    shapes = {name: torch.empty_like(value, device="meta") for name, value in state.items()}
    save_weights(tmp_path / "a", state, {})
    save_weights(tmp_path / "b", shapes, {}, (state[name] for name in in_file_order(shapes)))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


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


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.tensor([1.0, float("nan"), float("inf")]), "tensor b has 2 values that are no finite numbers"),
        (torch.tensor([True]), "tensor b is bool, no floating-point weights"),
        (torch.tensor([1]), "tensor b is int64"),
        (torch.tensor([1j]), "tensor b is complex64"),
        (torch.zeros(1).expand(10**9), r"tensor b \(1000000000,\) stands for more values than are stored"),
        (torch.ones(2, 2).to_sparse(), "tensor b is not stored as plain numbers"),
        (torch.empty(2, device="meta"), "tensor b is not stored as plain numbers"),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_name(tensor: torch.Tensor, message: str) -> None:
    for like in (None, {"a": torch.ones(1), "b": torch.ones(1)}):
        with pytest.raises(GigatokError, match=f"^the file: {message}"):
            require_sound({"a": torch.ones(1), "b": tensor}, "the file", like)


def test_counters_are_sound_and_a_networks_own_state_says_where_numbers_may_be_whole() -> None:
    state = {"bn.num_batches_tracked": torch.tensor(3), "half": torch.ones(2, dtype=torch.bfloat16)}
    require_sound(state, "x")
    require_sound({"table": torch.tensor([1])}, "x", like={"table": torch.tensor([0])})
