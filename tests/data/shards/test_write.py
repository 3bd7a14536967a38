"""Shards as they are written: WebDataset's layout, equal bytes for equal images, and no work done twice."""

from __future__ import annotations

import fcntl
import json
import os
import tarfile
from pathlib import Path

import pytest
from image_files import image_folder

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.shards.manifest import Manifest
from gigatok.data.shards.write import write_shards
from gigatok.data.source import Source


def write(source: Source, out: Path, workers: int = 2) -> Manifest:
    """Shards of four images."""
    return write_shards(source, out, images=4, workers=workers, progress=lambda done, total: None)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten images of two classes."""
    return image_folder(tmp_path / "in", {"cat": 4, "dog": 6})


def test_the_layout_is_webdatasets(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "3.png").rename(folder / "cat" / "3.JPEG")
    source = open_imagefolder(str(folder))
    manifest = write(source, tmp_path / "out")
    assert [(shard.name, shard.images) for shard in manifest.shards] == [
        ("shard-000000.tar", 4),
        ("shard-000001.tar", 4),
        ("shard-000002.tar", 2),
    ]
    number = 0
    for shard in manifest.shards:
        with tarfile.open(tmp_path / "out" / shard.name) as tar:
            members = tar.getmembers()
            assert len(members) == 3 * shard.images
            for image, label, about in zip(members[::3], members[1::3], members[2::3], strict=True):
                record = source.records[number]
                suffix = "jpg" if record.location.endswith("JPEG") else "png"
                assert image.name == f"{number:09d}.{suffix}"
                assert (label.name, about.name) == (f"{number:09d}.cls", f"{number:09d}.json")
                content = [tar.extractfile(member).read() for member in (image, label, about)]  # type: ignore[union-attr]
                assert content[0] == Path(record.location).read_bytes()
                assert int(content[1]) == record.label
                assert json.loads(content[2]) == {
                    "class": source.classes[record.label],
                    "name": record.concept,
                    "split": None,
                }
                number += 1
    assert number == 10


def test_equal_images_make_equal_bytes_whoever_shares_the_work(folder: Path, tmp_path: Path) -> None:
    source = open_imagefolder(str(folder))
    for name, workers in (("one", 1), ("three", 3)):
        write(source, tmp_path / name, workers)
    assert files(tmp_path / "one") == files(tmp_path / "three")


def test_an_interrupted_call_goes_on_and_a_finished_one_writes_nothing(folder: Path, tmp_path: Path) -> None:
    source, out, read = open_imagefolder(str(folder)), tmp_path / "out", []

    def failing(location: str) -> bytes:
        read.append(location)
        if location == source.records[9].location:
            raise CorruptImageError(location, "gone")
        return source.reader(location)

    with pytest.raises(CorruptImageError, match="gone"):
        write(source._replace(reader=failing), out, workers=1)
    assert sorted(path.name for path in out.glob("*.tar")) == ["shard-000000.tar", "shard-000001.tar"]
    assert not list(out.glob(".*.part"))
    assert not (out / "shards.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    read.clear()

    def counted(location: str) -> bytes:
        read.append(location)
        return source.reader(location)

    manifest = write(source._replace(reader=counted), out)
    assert read == [record.location for record in source.records[8:]]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    write(source, tmp_path / "whole")
    assert files(out) == files(tmp_path / "whole")
    read.clear()
    assert write(source._replace(reader=counted), out) == manifest
    assert read == []
    (out / "shard-000001.tar").unlink()
    assert write(source._replace(reader=counted), out) == manifest
    assert files(out) == files(tmp_path / "whole")


def test_an_image_that_changed_is_written_again(folder: Path, tmp_path: Path) -> None:
    source, out = open_imagefolder(str(folder)), tmp_path / "out"

    def failing(location: str) -> bytes:
        if location == source.records[9].location:
            raise KeyboardInterrupt
        return source.reader(location)

    with pytest.raises(KeyboardInterrupt):
        write(source._replace(reader=failing), out, workers=1)
    first = Path(source.records[0].location)
    first.write_bytes(b"another picture")
    write(source, out)
    write(source, tmp_path / "whole")
    assert files(out) == files(tmp_path / "whole")


def test_a_folder_with_other_shards_or_another_writer_is_refused(folder: Path, tmp_path: Path) -> None:
    source, out = open_imagefolder(str(folder)), tmp_path / "out"
    write(source, out)
    fewer = source._replace(records=source.records[:-1])
    with pytest.raises(GigatokError, match=r"out holds shards of other images or of another size: name another"):
        write(fewer, out)
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(GigatokError, match=r"out is being written to by another process: wait for it"):
            write(source, out)
    (tmp_path / "file").write_text("")
    with pytest.raises(GigatokError, match=r"file cannot be written: "):
        write(source, tmp_path / "file")


def test_a_full_disk_is_one_line_and_leaves_no_part(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("gigatok.data.shards.write.os.fsync", full)
    with pytest.raises(GigatokError, match=r"out: the disk is full \(\d+ MiB free\): make room and run the same"):
        write(open_imagefolder(str(folder)), tmp_path / "out")
    assert not list((tmp_path / "out").glob(".*.part"))
