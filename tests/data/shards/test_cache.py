"""Copies of remote shards: no more than the limit, and never the cause of a damaged image."""

from __future__ import annotations

from pathlib import Path

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


@pytest.mark.parametrize("limit", ["much", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGATOK_SHARD_CACHE_GB", limit)
    with pytest.raises(ConfigError, match=f"GIGATOK_SHARD_CACHE_GB '{limit}' is no number of gigabytes"):
        ShardCache()
