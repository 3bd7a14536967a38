"""The door: which files of a folder count, in which order, and what is said of the rest."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from image_files import encoded, noise

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError, source
from gigatok.data.image_files import FileReader, natural_key, pair_key, partners, take_files


def fill(root: Path, *names: str) -> Path:
    """Empty files by name."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def test_numbers_in_names_are_numbers_folder_by_folder(tmp_path: Path) -> None:
    names = ["2/10.png", "2/9.png", "10/1.png", "a10.png", "a9.PNG", "a09b.png", "b/1.jpeg"]
    assert take_files(fill(tmp_path, *names)).names == (
        "2/9.png", "2/10.png", "10/1.png", "a9.PNG", "a09b.png", "a10.png", "b/1.jpeg",
    )  # fmt: skip
    assert natural_key("1" * 250) < natural_key("2" * 250)


def test_hidden_files_copies_and_other_endings_are_left_out_and_counted(tmp_path: Path) -> None:
    fill(
        tmp_path,
        *("0.png", "1.tif", "2.GIF", "3.ppm", "._0.png", ".ipynb_checkpoints/0-checkpoint.png", "__MACOSX/0.png"),
        *("notes.txt", "4.eps", "5.EPS", "README"),
    )
    taken = take_files(tmp_path)
    assert taken.names == ("0.png", "1.tif", "2.GIF", "3.ppm")
    assert taken.left_out == {"extension .eps": 2, "extension .txt": 1, "hidden": 3, "no extension": 1}
    assert taken.describe() == (
        "4 images taken, 7 left out: extension .eps 2 (4.eps), extension .txt 1 (notes.txt), hidden 3 (._0.png), "
        "no extension 1 (README)"
    )


def test_links_are_followed_once_and_counted(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", "far/1.png", "far/2.png", "blob")
    root = fill(tmp_path / "set", "0.png", "a/1.png")
    for name, target in {
        "7.png": "../elsewhere/blob",
        "8.png": "../elsewhere/blob",  # caches store equal images once
        "again.png": "0.png",
        "b": "../elsewhere/far",
        "c": "../elsewhere/far",
        "loop": ".",
        "up": "../..",
        "same": "a",
        "gone.png": "nowhere",
        "self.png": "self.png",
    }.items():
        (root / name).symlink_to(target)
    taken = take_files(root)
    assert taken.names == ("0.png", "7.png", "8.png", "a/1.png", "b/1.png", "b/2.png")
    assert taken.linked == 4
    assert taken.left_out == {"broken link": 2, "link to what is there already": 5}
    assert "6 images taken (4 through links), 7 left out" in taken.describe()


def test_names_of_files_in_a_linked_root_are_the_same(tmp_path: Path) -> None:
    fill(tmp_path / "real", "0.png")
    (tmp_path / "link").symlink_to("real")
    taken = take_files(tmp_path / "link")
    assert (taken.names, taken.linked, taken.paths) == (("0.png",), 0, [tmp_path / "link" / "0.png"])


def test_pipes_sockets_and_odd_names_are_no_images(tmp_path: Path) -> None:
    fill(tmp_path, "0.png")
    os.mkfifo(tmp_path / "1.png")
    (tmp_path / "2.png").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    taken = take_files(tmp_path)
    assert taken.names == ("0.png",)
    assert taken.left_out == {"folder called .png": 1, "name that is not UTF-8": 1, "no regular file": 1}
    assert taken.describe().isprintable()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folders_without_permission_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, "0.png", "a/1.png")
    (tmp_path / "a").chmod(0)
    assert take_files(tmp_path).left_out == {"unreadable": 1}


def test_a_record_does_not_depend_on_the_order_of_the_file_system(tmp_path: Path) -> None:
    names = ["b.txt", "a.txt", "1.png", "0.png"]
    first, second = fill(tmp_path / "x", *names), fill(tmp_path / "y", *reversed(names))
    assert take_files(first).describe() == take_files(second).describe()
    assert take_files(first).examples == {"extension .txt": "a.txt"}


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", fill(tmp_path, "0.png") / "0.png", Path("a\0b")):
        with pytest.raises(GigatokError, match="is not a folder"):
            take_files(path)


def test_more_may_be_left_out_for_a_reason(tmp_path: Path) -> None:
    taken = take_files(fill(tmp_path, "0.png", "1.png", "x.txt")).without(["1.png"], "test split")
    assert taken.names == ("0.png",)
    assert taken.left_out == {"extension .txt": 1, "test split": 1}
    assert taken.without([], "nothing") is taken


def test_a_reader_never_opens_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(encoded(noise(0)))
    os.mkfifo(tmp_path / "pipe.png")
    assert FileReader()(str(tmp_path / "0.png")) == encoded(noise(0))
    for name, message in {"pipe.png": "no regular file", "": "no regular file", "gone": "No such file"}.items():
        with pytest.raises(CorruptImageError, match=message):
            FileReader()(str(tmp_path / name))
    with pytest.raises(CorruptImageError, match="null byte"):
        FileReader()("a\0b.png")


def test_pairs_are_made_by_name() -> None:
    originals, copies = ["cat/000010.png", "cat/000009.png"], ["cat/9.webp", "cat/10.webp"]
    assert list(partners(originals, copies)) == [("cat/000010.png", "cat/10.webp"), ("cat/000009.png", "cat/9.webp")]
    assert pair_key("a/007_b00.tar.png") == "a/7_b0.tar"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["0.png", "1.png"], ["0.png", "2.png"], r"of the first set 1: 1\.png; of the second set 1: 2\.png"),
        (["0.png"], [f"{n}.png" for n in range(5)], r"of the second set 4: 1\.png, 2\.png, 3\.png \.\.\."),
        (["1.png", "01.png"], ["1.png"], r"1\.png and 01\.png have one name"),
        (["a.png", "a.jpg"], ["a.png"], r"a\.png and a\.jpg have one name"),
    ],
)  # fmt: skip
def test_names_without_a_partner_are_refused(first: list[str], second: list[str], message: str) -> None:
    with pytest.raises(GigatokError, match=message):
        list(partners(first, second))


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Further attempts without a wait."""
    monkeypatch.setattr(source, "WAITS", (0.0, 0.0))


def failing(monkeypatch: pytest.MonkeyPatch, number: int, times: int) -> list[int]:
    """The first so many reads of a file end with that error of the system; how many reads there were, as a length."""
    reads: list[int] = []
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        reads.append(1)
        if len(reads) <= times:
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    return reads


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE])
def test_what_the_disk_did_not_give_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = str(fill(tmp_path, "0.png") / "0.png")
    reads = failing(monkeypatch, number, 2)
    assert FileReader()(path) == b"x"
    assert len(reads) == 3
    failing(monkeypatch, number, 9)
    said = rf"0\.png could not be read in 3 attempts \({os.strerror(number)}\)"
    with pytest.raises(GigatokError, match=said) as caught:
        FileReader()(path)
    assert not isinstance(caught.value, CorruptImageError)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_what_is_gone_or_closed_is_a_damaged_image_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = str(fill(tmp_path, "0.png") / "0.png")
    reads = failing(monkeypatch, number, 9)
    with pytest.raises(CorruptImageError, match=os.strerror(number)):
        FileReader()(path)
    assert len(reads) == 1


@pytest.mark.parametrize(("number", "ends"), [(errno.EIO, True), (errno.ESTALE, True), (errno.EACCES, False)])
def test_a_folder_that_a_failing_disk_does_not_list_is_not_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ends: bool
) -> None:
    fill(tmp_path, "a/0.png", "b/0.png")
    scan = os.scandir

    def fail(path: str) -> Any:
        if str(path).endswith("/b"):
            raise OSError(number, os.strerror(number))
        return scan(path)

    monkeypatch.setattr("gigatok.data.image_files.os.scandir", fail)
    if ends:
        with pytest.raises(GigatokError, match="cannot be listed"):
            take_files(tmp_path)
    else:
        assert take_files(tmp_path).left_out == {"unreadable": 1}
