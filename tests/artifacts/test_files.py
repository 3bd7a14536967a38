import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigatok.artifacts import file_digests, file_sha256, replacing, write_bytes, write_json
from gigatok.artifacts.files import working_folder
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


def test_what_a_killed_writer_left_goes_with_the_next_write_and_a_living_ones_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from gigatok.artifacts import replacing\n"
        "with replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    (left,) = tmp_path.glob(".x.bin.*.part")
    others = [tmp_path / name for name in (".x.bin.old.part", ".y.bin" + left.name.removeprefix(".x.bin"))]
    for other in others:
        other.write_bytes(b"of somebody else")
    with replacing(path) as mine:
        write_bytes(path, b"meanwhile")
        assert mine.exists()
        mine.write_bytes(b"mine")
    assert path.read_bytes() == b"mine"
    assert {item.name for item in tmp_path.iterdir()} == {"x.bin", *(other.name for other in others)}


def test_a_killed_workers_folder_goes_with_the_next_one_and_a_living_ones_stays(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from gigatok.artifacts.files import working_folder\n"
        "with working_folder(Path(sys.argv[1]) / 'cache') as folder:\n"
        "    (folder / 'images.npy').write_bytes(b'half')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    (left,) = (tmp_path / "cache").iterdir()
    with working_folder(tmp_path / "cache") as first:
        with working_folder(tmp_path / "cache") as second:
            assert {first, second} == set((tmp_path / "cache").iterdir())
            assert left not in (first, second)
        assert [first] == list((tmp_path / "cache").iterdir())
    assert list((tmp_path / "cache").iterdir()) == []


def test_long_names_have_room_for_a_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    write_bytes(path, b"content")
    assert path.read_bytes() == b"content"


def test_digests_are_those_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"abc" * 3_000_000)
    found = file_digests(path)
    assert found.sha256 == file_sha256(path)
    assert found.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert found.bytes == 9_000_000
