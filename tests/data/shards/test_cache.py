"""Copies of remote shards: no more than the limit, and never the cause of a damaged image."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import fsspec
import pytest

from gigatok.config import ConfigError
from gigatok.data import CorruptImageError
from gigatok.data.shards.cache import ShardCache
from gigatok.data.shards.read import ShardReader, open_shards


def test_copies_take_no_more_than_the_limit(
    remote: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (shards / "shard-000000.tar").stat().st_size
    monkeypatch.setenv("GIGATOK_SHARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GIGATOK_SHARD_CACHE_GB", str(1.5 * size / 1e9))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f"{'0' * 32}.tar.{2**22 + 1}.part").write_bytes(bytes(size))  # of a process that is dead
    source, local = open_shards(remote), open_shards(str(shards))
    for _ in range(2):
        for far, near in zip(source.records, local.records, strict=True):
            assert source.reader(far.location) == local.reader(near.location)
    copies = list((tmp_path / "cache").glob("*.tar"))
    assert [copy.read_bytes() for copy in copies] == [(shards / "shard-000000.tar").read_bytes()]
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {copies[0].name, ".lock"}
    copies[0].write_bytes(bytes(size))
    with pytest.raises(CorruptImageError, match="not the bytes"):
        source.reader(source.records[0].location)
    assert not copies[0].exists()
    assert ShardReader()(source.records[0].location) == local.reader(local.records[0].location)


def test_copies_that_other_processes_rename_or_remove_meanwhile_damage_no_image(
    remote: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They do so after the folder was listed, before each file's size was asked for."""
    folder = tmp_path / "cache"
    folder.mkdir()
    names = [f"{digit * 32}.tar" for digit in "0123"]
    dead = 2**22 + 1
    parts = [folder / f"{name}.{number}.part" for name, number in zip(names, (1, 1, dead, dead), strict=True)]
    foreign = [folder / name for name in ("x.part", ".part", f"{'4' * 32}.tar.-1.part", f"{'4' * 32}.tar.{2**64}.part")]
    listing = os.scandir

    def scandir(path: Path) -> list[os.DirEntry[str]]:
        entries = list(listing(path))
        for part in parts[::2]:
            part.unlink(missing_ok=True)
        if parts[1].exists():
            parts[1].replace(folder / names[1])
        return entries

    for path in (*parts, *foreign):
        path.write_bytes(b"1234")
    monkeypatch.setenv("GIGATOK_SHARD_CACHE", str(folder))
    monkeypatch.setenv("GIGATOK_SHARD_CACHE_GB", "1")
    source, local = open_shards(remote), open_shards(str(shards))
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        for far, near in zip(source.records, local.records, strict=True):
            assert source.reader(far.location) == local.reader(near.location)
    assert len(list(folder.glob("*.tar"))) == 3 + 1
    assert sorted(folder.glob("*.part")) == sorted(foreign)


def test_a_copy_is_never_under_two_names_or_none_while_others_count(
    remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the limit would be passed by what is renamed while it is counted."""
    monkeypatch.setenv("GIGATOK_SHARD_CACHE", str(tmp_path / "cache"))
    rename, free = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        with (tmp_path / "cache" / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(target)
            except BlockingIOError:
                pass
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    source = open_shards(remote)
    source.reader(source.records[0].location)
    assert len(list((tmp_path / "cache").glob("*.tar"))) == 1
    assert free == []


def test_a_full_disk_ends_copying_and_damages_no_image(
    remote: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def get_file(self: object, remote: str, part: str) -> None:
        asked.append(remote)
        Path(part).write_bytes(b"1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "get_file", get_file)
    local = open_shards(str(shards))
    monkeypatch.setenv("GIGATOK_SHARD_CACHE", str(tmp_path / "cache"))
    reader = ShardReader()
    for record in local.records:
        far = record.location.replace(str(shards), remote)
        assert reader(far) == local.reader(record.location)
    assert len(asked) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_folder_that_takes_no_files_is_refused_and_is_no_damage_of_an_image(
    remote: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, said = open_shards(remote), "GIGATOK_SHARD_CACHE '.*/file/cache' takes no files .*: set it to a folder"
    (tmp_path / "file").touch()
    monkeypatch.setenv("GIGATOK_SHARD_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigError, match=said):
        open_shards(remote)
    with pytest.raises(ConfigError, match=said):  # it was writable when the run began
        ShardReader()(source.records[0].location)
    open_shards(str(shards))  # of a local disk nothing is copied


@pytest.mark.parametrize("limit", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGATOK_SHARD_CACHE_GB", limit)
    with pytest.raises(ConfigError, match=f"GIGATOK_SHARD_CACHE_GB '{limit}' is no number of gigabytes"):
        ShardCache()
