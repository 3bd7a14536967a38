import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gigatok.artifacts import drop_states, load_state, save_state, state_meta
from gigatok.config import GigatokError


class Cursor:
    def __init__(self) -> None:
        self.position = np.int64(0)

    def state(self) -> dict[str, Any]:
        return {"position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        self.position = np.int64(state["position"])


class Recipe:
    """A small training with every kind of state."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
        self.optimizer = torch.optim.AdamW(self.module.parameters(), lr=0.1)
        self.numpy = np.random.default_rng(1)
        self.torch = torch.Generator().manual_seed(2)
        self.cursor = Cursor()

    def objects(self) -> dict[str, Any]:
        return dict(vars(self))

    def step(self) -> float:
        noise = self.numpy.normal() + np.random.normal() + random.random()
        x = torch.randn(8, 4, generator=self.torch) + float(noise)
        loss = self.module(x).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.cursor.position += 1
        return float(loss.detach())


def test_a_restored_run_goes_on_bit_equal(tmp_path: Path) -> None:
    recipe = Recipe()
    for _ in range(3):
        recipe.step()
    save_state(tmp_path, recipe.objects(), {"step": 3})
    expected = [recipe.step() for _ in range(3)]

    other = Recipe()
    other.step()
    restored = load_state(tmp_path, other.objects())
    assert restored is not None
    assert restored.meta == {"step": 3}
    assert other.cursor.position == 3
    assert [other.step() for _ in range(3)] == expected


def test_values_come_back_beside_the_objects(tmp_path: Path) -> None:
    tree = {"used": torch.tensor([True, False]), "best": [1.5, None]}
    save_state(tmp_path, {"cursor": Cursor(), "tree": tree}, {})
    restored = load_state(tmp_path, {"cursor": Cursor()})
    assert restored is not None
    assert torch.equal(restored.values["tree"]["used"], tree["used"])
    assert restored.values["tree"]["best"] == [1.5, None]


@pytest.mark.parametrize("damage", ["cut", "flip"])
@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_a_damaged_newest_state_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    weights = torch.nn.Linear(64, 64)
    for step in (1, 2, 3):
        newest = save_state(tmp_path, {"weights": weights}, {"step": step})
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    newest.write_bytes(bytes(content))
    restored = load_state(tmp_path, {"weights": weights})
    assert restored is not None
    assert restored.meta["step"] == 2
    assert save_state(tmp_path, {"weights": weights}, {"step": 4}) > newest


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_state(tmp_path, {"cursor": Cursor()}, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-000004.pt", "state-000005.pt"]
    assert state_meta(tmp_path) == {"step": 4}


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    torn = tmp_path / ".state-000001.pt.abc.part"
    for clean in (lambda: save_state(tmp_path, {}, {"step": 1}), lambda: drop_states(tmp_path)):
        torn.write_bytes(b"half of 35 GB")
        clean()
        assert not torn.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "absent", {}) is None
    assert state_meta(tmp_path) is None


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, {"module": torch.nn.Linear(2, 2)}, {})
    with pytest.raises(GigatokError, match="lacks cursor, also holds module"):
        load_state(tmp_path, {"cursor": Cursor()})
    with pytest.raises(GigatokError, match="does not fit module"):
        load_state(tmp_path, {"module": torch.nn.Linear(3, 3)})


def test_a_state_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"objects": {}, "random": Evil(), "meta": "{}"}, tmp_path / "state-000001.pt")
    with pytest.warns(UserWarning, match="cannot be read"):
        assert load_state(tmp_path, {}) is None
    assert not (tmp_path / "ran").exists()
