import errno
import json
import os
import pickle
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter

from gigatok.artifacts import StateSaver, drop_states, load_state, save_state, state_meta
from gigatok.artifacts.states.folder import sum_of, write_manifest
from gigatok.artifacts.states.objects import pack
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


def test_a_state_is_of_the_moment_it_was_asked_for(tmp_path: Path) -> None:
    """It is written while training goes on, from a copy: large tensors (DCP's) and small ones alike."""
    tensors = {"large": torch.zeros(200, 200), "small": torch.zeros(2)}
    saver = StateSaver(tmp_path)
    for step in (1, 2):
        saver.start({"tensors": tensors}, {"step": step})
        for tensor in tensors.values():
            tensor += 1
    saver.wait()
    restored = load_state(tmp_path, {})
    assert restored is not None
    assert restored.meta == {"step": 2}
    assert {float(tensor.max()) for tensor in restored.values["tensors"].values()} == {1.0}


class Bits:
    """Large tensors of all kinds, views and odd shapes among them."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        whole = torch.randn(300, 200, generator=generator)
        self.tensors = {
            "float": whole, "transposed": whole.t(), "view": whole[100:200, ::2], "half": whole.bfloat16(),
            "integer": torch.randint(9, (70, 80), generator=generator), "flags": whole > 0, "empty": torch.zeros(0, 3),
            "scalar": torch.tensor(float(seed)),
        }  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        return {"nested": [self.tensors, (1, None, 2.5)], 0: "a number is no name"}

    def load_state_dict(self, state_dict: Mapping[Any, Any]) -> None:
        assert state_dict[0] == "a number is no name"
        assert state_dict["nested"][1] == (1, None, 2.5)
        self.tensors = state_dict["nested"][0]


def test_every_bit_of_every_kind_of_tensor_comes_back(tmp_path: Path) -> None:
    saved, found = Bits(1), Bits(2)
    save_state(tmp_path, {"bits": saved}, {})
    load_state(tmp_path, {"bits": found})
    for name, tensor in saved.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor), name


@pytest.mark.parametrize("file", ["__0_0.distcp", ".metadata", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_newest_state_falls_back_to_the_one_before(tmp_path: Path, file: str, damage: str) -> None:
    weights = torch.nn.Linear(64, 64)
    for step in (1, 2, 3):
        newest = save_state(tmp_path, {"weights": weights}, {"step": step})
    content = bytearray((newest / file).read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    if damage == "gone":
        (newest / file).unlink()
    else:
        (newest / file).write_bytes(bytes(content))
    with pytest.warns(UserWarning, match=f"{newest.name} cannot be read .*: going back to the state before it"):
        restored = load_state(tmp_path, {"weights": weights})
    assert restored is not None
    assert restored.meta["step"] == 2
    if damage != "flip" or file == "state.json":
        assert state_meta(tmp_path) == {"step": 2}
    assert save_state(tmp_path, {"weights": weights}, {"step": 4}) > newest


def test_only_the_newest_states_are_kept(tmp_path: Path) -> None:
    for step in range(5):
        save_state(tmp_path, {"cursor": Cursor()}, {"step": step})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-000004", "state-000005"]
    assert state_meta(tmp_path) == {"step": 4}


def test_a_state_of_an_earlier_version_still_opens(tmp_path: Path) -> None:
    """One file of ``torch.save``; the next state takes its place among the two that are kept."""
    recipe, other = Recipe(), Recipe()
    recipe.step()
    content = {**pack(recipe.objects()), "meta": json.dumps({"step": 1})}
    torch.save(content, tmp_path / "state-000007.pt")
    expected = recipe.step()
    assert state_meta(tmp_path) == {"step": 1}
    restored = load_state(tmp_path, other.objects())
    assert restored is not None
    assert restored.meta == {"step": 1}
    assert other.step() == expected
    for step in (2, 3):
        assert save_state(tmp_path, other.objects(), {"step": step}).name == f"state-00000{step + 6}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-000008", "state-000009"]


@pytest.mark.filterwarnings("ignore:.*cannot be read")
def test_a_damaged_state_falls_back_to_one_of_an_earlier_version(tmp_path: Path) -> None:
    content = {**pack({"cursor": Cursor()}), "meta": json.dumps({"step": 1})}
    torch.save(content, tmp_path / "state-000001.pt")
    newest = save_state(tmp_path, {"cursor": Cursor()}, {"step": 2})
    (newest / ".metadata").write_bytes(b"")
    restored = load_state(tmp_path, {"cursor": Cursor()})
    assert restored is not None
    assert restored.meta == {"step": 1}


def test_what_a_killed_save_left_is_removed(tmp_path: Path) -> None:
    for clean in (lambda: save_state(tmp_path, {}, {"step": 1}), lambda: drop_states(tmp_path)):
        torn = [tmp_path / ".state-000001.pt.abc.part", tmp_path / ".state-000009.part"]
        torn[0].write_bytes(b"half of 35 GB")
        torn[1].mkdir()
        (torn[1] / "__0_0.distcp").write_bytes(b"half of 35 GB")
        clean()
        assert not any(path.exists() for path in torn)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("problem", ["full", "no folder"])
def test_a_state_that_cannot_be_written_harms_none_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    folder = tmp_path / "state"
    if problem == "full":
        save_state(folder, {"cursor": Cursor()}, {"step": 1})

        def full(file: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
    else:
        folder.write_bytes(b"a file")
    saver = StateSaver(folder)
    saver.start({"tensor": torch.zeros(100, 100)}, {"step": 2})
    with pytest.raises(GigatokError, match="the disk is full" if problem == "full" else "cannot be written"):
        saver.wait()
    if problem == "full":
        assert [path.name for path in folder.iterdir()] == ["state-000001"]
        assert state_meta(folder) == {"step": 1}


def test_a_state_without_the_files_of_another_process_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a shared file system what the others wrote lies elsewhere."""
    save_state(tmp_path, {"tensor": torch.zeros(100, 100)}, {"step": 1})
    real = FileSystemWriter.finish

    def finish(self: FileSystemWriter, *written: Any) -> None:
        real(self, *written)
        for file in Path(self.path).glob("*.distcp"):
            file.unlink()

    monkeypatch.setattr(FileSystemWriter, "finish", finish)
    with pytest.raises(GigatokError, match=r"lacks __0_0\.distcp, which another process wrote: .* a file system"):
        save_state(tmp_path, {"tensor": torch.ones(100, 100)}, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["state-000001"]
    assert state_meta(tmp_path) == {"step": 1}


def test_an_empty_folder_has_no_state(tmp_path: Path) -> None:
    assert load_state(tmp_path / "absent", {}) is None
    assert state_meta(tmp_path) is None


def test_a_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, {"module": torch.nn.Linear(2, 2)}, {})
    with pytest.raises(GigatokError, match="lacks cursor, also holds module"):
        load_state(tmp_path, {"cursor": Cursor()})
    with pytest.raises(GigatokError, match="does not fit module"):
        load_state(tmp_path, {"module": torch.nn.Linear(3, 3)})
    large = save_state(tmp_path / "large", {"module": torch.nn.Linear(99, 99)}, {})
    with pytest.raises(GigatokError, match="does not fit module"):
        load_state(large.parent, {"module": torch.nn.Linear(98, 99)})


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("where", ["file", ".metadata", "__0_0.distcp"])
def test_a_state_cannot_run_code(tmp_path: Path, where: str) -> None:
    evil, folder = Evil(tmp_path / "ran"), tmp_path / "state"
    if where == "file":
        folder.mkdir()
        torch.save({"objects": {}, "random": evil, "meta": "{}"}, folder / "state-000001.pt")
    else:
        state = save_state(folder, {}, {})
        if where == ".metadata":
            (state / where).write_bytes(pickle.dumps(evil))
        else:
            torch.save(evil, state / where)
        write_manifest(state, {}, {name: sum_of(state / name) for name in (".metadata", "__0_0.distcp")})
    with pytest.warns(UserWarning, match="cannot be read"):
        assert load_state(folder, {}) is None
    assert not (tmp_path / "ran").exists()


def test_a_wait_that_was_interrupted_can_be_taken_up_again(tmp_path: Path) -> None:
    """Ctrl-C beside a state that is being written: whoever waits next waits for it still."""

    class Writing:
        asked = 0

        def result(self) -> None:
            self.asked += 1
            if self.asked == 1:
                raise KeyboardInterrupt

    saver, writing = StateSaver(tmp_path), Writing()
    saver._pending = cast(Any, writing)
    with pytest.raises(KeyboardInterrupt):
        saver.wait()
    saver.wait()
    assert writing.asked == 2
    saver.wait()
    assert writing.asked == 2
