"""What a run's folder gives to the report: never a damaged file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc_cache import cached, flip_byte
from fake_runs import write_generator, write_tokenizer

from gigatok.artifacts import ScoreSheet, Workspace, write_json
from gigatok.artifacts.belonging import read_provenance
from gigatok.config import GigatokError
from gigatok.config.base import GigatokWarning
from gigatok.paper.results.run import Kind, read_run


def note_files(folder: Path, files: dict[str, Any]) -> None:
    """Hashes in the score sheet, as the scoring stages note them."""
    path = folder / "summary.json"
    ScoreSheet.read(path).replace(files=files).write(path)


@pytest.mark.parametrize(
    ("kind", "file", "array"), [("tokenizer", "pictures.npz", "originals"), ("generator", "samples.npz", "samples")]
)
def test_damaged_pictures_come_back_from_dvcs_cache(tmp_path: Path, kind: Kind, file: str, array: str) -> None:
    write_tokenizer(tmp_path / "runs", "S-S", rfid=50.0, psnr=20.0)
    write_generator(tmp_path / "runs", "S-S", gfid=50.0, loss=5.0)
    path = tmp_path / "runs" / f"{kind}s" / "S-S" / file
    note_files(path.parent, {file: cached(tmp_path, path)[file]})
    run = read_run(tmp_path / "runs", kind, "S-S")
    before = run.arrays(file)[array]
    sound = path.read_bytes()
    np.savez(path, **{name: np.zeros_like(values) for name, values in run.arrays(file).items()})
    with pytest.warns(GigatokWarning, match=rf"{file} is damaged .*: restored from DVC's cache"):
        found = run.arrays(file)[array]
    assert path.read_bytes() == sound
    assert np.array_equal(found, before)


def test_damaged_pictures_that_no_cache_holds_are_refused_in_one_line(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, "S-S", rfid=50.0, psnr=20.0)
    path = tmp_path / "tokenizers" / "S-S" / "pictures.npz"
    flip_byte(path)
    with pytest.raises(GigatokError, match=r"pictures.npz cannot be read as an .npz.*run its stage again"):
        read_run(tmp_path, "tokenizer", "S-S").arrays("pictures.npz")
    note_files(path.parent, {"pictures.npz": {"sha256": "0" * 64, "md5": "0" * 32, "bytes": 3}})
    with pytest.raises(GigatokError, match=r"pictures.npz is damaged .* cache does not hold it: .*its stage again"):
        read_run(tmp_path, "tokenizer", "S-S").arrays("pictures.npz")


def test_a_changed_curve_comes_back_from_dvcs_cache(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "runs", "S-S", rfid=50.0, psnr=20.0)
    run = Workspace(tmp_path).tokenizer("S-S")
    noted = {name: each.model_dump() for name, each in cached(tmp_path, run.curves_path).items()}
    write_json(run.provenance_path, {**read_provenance(run), "outputs": noted})
    before = read_run(tmp_path / "runs", "tokenizer", "S-S").curves
    run.curves_path.write_text(run.curves_path.read_text().replace("0.5", "0.9"))
    with pytest.warns(GigatokWarning, match=r"curves.json is damaged .*: restored"):
        assert read_run(tmp_path / "runs", "tokenizer", "S-S").curves == before


@pytest.mark.parametrize("content", ["[]", '{"loss": 3}', '{"loss": [[1]]}', '{"loss": [["a", 1]]}', "{", "[" * 9999])
def test_curves_that_are_none_are_one_line(tmp_path: Path, content: str) -> None:
    write_tokenizer(tmp_path, "S-S", rfid=50.0, psnr=20.0)
    (tmp_path / "tokenizers" / "S-S" / "curves.json").write_text(content)
    with pytest.raises(GigatokError, match=r"curves.json .*delete it and run its stage again"):
        _ = read_run(tmp_path, "tokenizer", "S-S").curves
