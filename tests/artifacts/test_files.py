import errno
import os
from pathlib import Path

import pytest

from gigatok.artifacts import replacing, write_bytes, write_json
from gigatok.config import GigatokError


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_failed_write_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")
    with pytest.raises(GigatokError), replacing(path) as temporary:
        temporary.write_bytes((tmp_path / "absent").read_bytes())
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x.bin"]


def test_a_full_disk_is_one_line_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    write_bytes(path, b"old")
    with pytest.raises(GigatokError, match="disk is full") as caught, replacing(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"


def test_a_folder_in_the_place_of_a_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(GigatokError, match="cannot be written"):
        write_bytes(tmp_path / "x", b"content")


def test_not_a_number_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match="left out"):
        write_json(tmp_path / "x.json", {"fid": float("nan")})
    assert not (tmp_path / "x.json").exists()
