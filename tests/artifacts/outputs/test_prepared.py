"""Prepared data that are not what ``prepare`` wrote reach no stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dvc_cache import fill_cache, flip_byte
from image_files import BASE, image_folder, section

from gigatok.artifacts.outputs import prepared
from gigatok.artifacts.outputs.prepared import sound_data
from gigatok.config import GigatokError
from gigatok.config.base import GigatokWarning
from gigatok.data import PreparedData, prepare

FILES = ("index.parquet", "train.npy", "validation.npy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "runs" / "data"
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, out)
    return out


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_comes_back_from_dvcs_cache_or_ends_the_stage(folder: Path, tmp_path: Path, name: str) -> None:
    sound_data(folder)  # what was compared before it was damaged is compared again
    sound = flip_byte(folder / name)
    with pytest.raises(GigatokError, match=rf"{name} is damaged .*: run 'dvc repro -f prepare'$"):
        sound_data(folder)
    (folder / name).write_bytes(sound)
    fill_cache(tmp_path, folder, FILES)
    flip_byte(folder / name)
    with pytest.warns(GigatokWarning, match="restored from DVC's cache"):
        assert sound_data(folder) == folder
    assert (folder / name).read_bytes() == sound


def test_zeroed_pixels_are_noticed(folder: Path) -> None:
    """Whole as a file, and of the right shape."""
    np.save(folder / "train.npy", np.zeros_like(PreparedData.open(folder).train.uint8()))
    with pytest.raises(GigatokError, match=r"train.npy is damaged"):
        sound_data(folder)


def test_each_file_is_compared_once_a_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(prepared, "make_sound", lambda path, *_, **__: seen.append(path.name))
    for _ in range(3):
        sound_data(folder)
    assert seen == list(FILES)


def test_data_of_earlier_versions_are_read_as_they_are(folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    assert set(summary.pop("files")) == set(FILES)
    path.write_text(json.dumps(summary))
    flip_byte(folder / "train.npy")
    assert PreparedData.open(sound_data(folder)).summary.files == {}
