"""Images from shards: the same set as the folder they came from, wherever they lie."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import BASE, image_folder, section

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError, PreparedData, prepare
from gigatok.data import source as source_module
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.shards.manifest import Place
from gigatok.data.shards.read import ShardReader, open_shards
from gigatok.data.shards.write import write_shards


def write(folder: Path, out: Path) -> Path:
    """Shards of four images of a folder."""
    source = open_imagefolder(str(folder))
    write_shards(source, out, images=4, workers=1, progress=lambda done, total: None)
    return out


def test_a_set_in_shards_is_the_set_it_came_from(tmp_path: Path) -> None:
    for name, count in {"train": 9, "val": 3, "test": 2}.items():
        image_folder(tmp_path / "in" / name, {"a": count, "b": count}, first_seed=100 * count)
    (tmp_path / "in" / "train" / "a" / "notes.txt").write_text("x")
    before, after = open_imagefolder(str(tmp_path / "in")), open_shards(str(write(tmp_path / "in", tmp_path / "out")))
    assert after.classes == before.classes
    assert [record[1:] for record in after.records] == [record[1:] for record in before.records]
    assert (after.left_out, after.linked) == (before.left_out, before.linked)
    for row in np.random.default_rng(0).permutation(len(after.records)):
        assert after.reader(after.records[row].location) == before.reader(before.records[row].location)


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_prepared_data_are_the_same_but_for_their_place(shards: Path, tmp_path: Path, augmentation: str) -> None:
    found = {}
    for source, path in (("imagefolder", tmp_path / "in"), ("shards", shards)):
        prepare(section(path, source=source, augmentation=augmentation), BASE, tmp_path / source)
        found[source] = PreparedData.open(tmp_path / source)
    folder, other = found["imagefolder"], found["shards"]
    assert other.summary.data_sha256 == folder.summary.data_sha256
    for first, second in ((folder.train, other.train), (folder.validation, other.validation)):
        rows = np.arange(len(first))[::-1]
        np.testing.assert_array_equal(first.ids, second.ids)
        for seed in (None, 1):
            batches = [
                images.batch(rows, None if seed is None else np.random.default_rng(seed)) for images in (first, second)
            ]
            np.testing.assert_array_equal(*batches)


def test_a_row_is_one_seek(shards: Path) -> None:
    source = open_shards(str(shards))
    for record in source.records:
        place = Place.parse(record.location)
        with Path(place.file).open("rb") as file:
            file.seek(place.offset)
            assert file.read(place.length) == source.reader(record.location)


def test_what_is_no_longer_what_was_written_is_a_damaged_image(shards: Path) -> None:
    source = open_shards(str(shards))
    first, last = source.records[0].location, source.records[9].location
    place = Place.parse(first)
    content = bytearray((shards / "shard-000000.tar").read_bytes())
    content[place.offset + place.length // 2] ^= 1
    (shards / "shard-000000.tar").write_bytes(content)
    with pytest.raises(
        CorruptImageError, match=r"shard-000000.tar#\S+ cannot be read .not the bytes that were written"
    ):
        source.reader(first)
    (shards / "shard-000002.tar").write_bytes((shards / "shard-000002.tar").read_bytes()[:600])
    with pytest.raises(CorruptImageError, match="the shard has 600 bytes"):
        source.reader(last)
    (shards / "shard-000001.tar").unlink()
    with pytest.raises(CorruptImageError, match="No such file"):
        source.reader(source.records[5].location)
    summary_of = section(shards, source="shards", max_corrupt_share=0.9)
    summary = prepare(summary_of, BASE, shards.parent / "prepared")
    assert len(summary.corrupt) == 7


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), TimeoutError(), RuntimeError("503")])
def test_a_server_that_fails_leaves_no_image_out(
    shards: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Errors of HTTP, S3 and the like are of no kind of the system's."""
    monkeypatch.setattr(source_module, "WAITS", (0.0, 0.0))
    source, part, errors = open_shards(str(shards)), ShardReader._bytes, [error] * 2

    def fail(reader: ShardReader, place: Place) -> bytes:
        if errors:
            raise errors.pop()
        return part(reader, place)

    monkeypatch.setattr(ShardReader, "_bytes", fail)
    assert len(source.reader(source.records[0].location)) > 0
    errors += [error] * 9
    with pytest.raises(GigatokError, match="could not be read in 3 attempts") as caught:
        source.reader(source.records[0].location)
    assert not isinstance(caught.value, CorruptImageError)
    assert len(errors) == 6


@pytest.mark.parametrize("location", ["x.tar", "x.tar#1+2", "x.tar#-1+2+00000000", f"x.tar#0+{2**31}+00000000", ""])
def test_what_names_no_place_is_a_damaged_image(location: str) -> None:
    with pytest.raises(CorruptImageError, match=r"no place in a shard|larger than 1024 MiB"):
        ShardReader()(location)


def change_index(shards: Path, column: str, value: Any) -> None:
    """Set a value of the fourth row, and the index's hash in the manifest."""
    table = pq.read_table(shards / "index.parquet")
    values = table[column].to_pylist()
    values[3] = value
    kind = table.schema.field(column).type if value is None or isinstance(value, int) else pa.string()
    if column != "split" and not isinstance(value, int) and value is not None:
        values = [str(each) for each in values]
    table = table.set_column(table.schema.get_field_index(column), column, pa.array(values, kind))
    pq.write_table(table, shards / "index.parquet")
    change_manifest(shards, index_sha256=hashlib.sha256((shards / "index.parquet").read_bytes()).hexdigest())


def change_manifest(folder: Path, /, **values: Any) -> None:
    manifest = json.loads((folder / "shards.json").read_text())
    (folder / "shards.json").write_text(json.dumps({**manifest, **values}))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("shard", 3, "names a shard or class"),
        ("label", 2, "names a shard or class"),
        ("crc32", 2**32, "names a shard or class"),
        ("offset", 2**40, "lies beyond the end of shard-000000.tar"),
        ("length", -1, "lacks a value"),
        ("offset", None, "lacks a value"),
        ("concept", None, "lacks a value"),
        ("offset", "far", "of another kind"),
        ("split", "eval", "split 'eval': use one of train, validation"),
        ("split", "train", "some names are splits"),
    ],
)
def test_rows_that_do_not_fit_are_named(shards: Path, column: str, value: Any, message: str) -> None:
    change_index(shards, column, value)
    with pytest.raises(GigatokError, match=message) as caught:
        open_shards(str(shards))
    assert "\n" not in str(caught.value)


def test_mistakes_name_the_file_and_the_fix(shards: Path, tmp_path: Path) -> None:
    def refused(message: str, path: object = shards) -> None:
        with pytest.raises(GigatokError, match=message) as caught:
            open_shards(str(path))
        assert "\n" not in str(caught.value)

    refused(r"in' holds no shards.json: set it to what 'gigatok-bench shards' writes", tmp_path / "in")
    index = (shards / "index.parquet").read_bytes()
    (shards / "index.parquet").write_bytes(index[:-1])
    refused("index.parquet is damaged .SHA-256 differs.: restore it")
    (shards / "index.parquet").unlink()
    refused("index.parquet does not exist")
    (shards / "index.parquet").write_bytes(index)
    whole = json.loads((shards / "shards.json").read_text())
    for change, message in (
        ({"images": 11}, "has 10 rows, shards.json says 11"),
        ({"format": "other"}, "describes no shards .format"),
        ({"classes": []}, "describes no shards .classes"),
        ({"shards": [{**whole["shards"][0], "name": "../../x.tar"}] * 3}, "describes no shards .shards"),
        ({"shards": [whole["shards"][0]] * 2}, "two shards have one name"),
    ):
        change_manifest(shards, **change)
        refused(message)
        change_manifest(shards, **whole)
    (shards / "shards.json").write_text("[")
    refused("describes no shards")


def test_an_address_is_read_image_by_image(remote: str, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIGATOK_SHARD_CACHE", raising=False)
    source, local = open_shards(f"{remote}/"), open_shards(str(shards))
    assert [record[1:] for record in source.records] == [record[1:] for record in local.records]
    reader = pickle.loads(pickle.dumps(source.reader))
    for far, near in zip(source.records, local.records, strict=True):
        assert far.location.startswith("memory://set/shard-")
        assert reader(far.location) == local.reader(near.location)
    with pytest.raises(CorruptImageError, match="cannot be read"):
        reader("memory://set/shard-000009.tar#0+5+00000000")
    for address, message in (("memory://none", "holds no shards.json"), ("nowhere://x", "cannot be read .*nowhere")):
        with pytest.raises(GigatokError, match=message):
            open_shards(address)


def test_a_login_reaches_the_server_and_no_file(shards: Path, tmp_path: Path) -> None:
    """fsspec's memory takes it for a part of the path: without it nothing is found."""
    system, address = fsspec.filesystem("memory"), "memory://me:hunter22@set"
    for path in shards.iterdir():
        system.pipe_file(f"/me:hunter22@set/{path.name}", path.read_bytes())
    settings: dict[str, Any] = {"source": "shards", "augmentation": "crop-flip"}
    folder = tmp_path / "runs" / "data"
    (tmp_path / "params.yaml").write_text(f"prepare: {{path: '{address}/'}}\n")
    summary = prepare(section(address, **settings), BASE, folder)
    assert summary.path == "memory://set"
    assert summary.data_sha256 == prepare(section(shards, **settings), BASE, tmp_path / "local").data_sha256
    assert "hunter22" not in (folder / "summary.json").read_text()
    assert "hunter22" not in str(pq.read_table(folder / "index.parquet").to_pydict())
    train = PreparedData.open(folder).train
    for images in (train, pickle.loads(pickle.dumps(train))):
        assert images.batch(np.arange(2), np.random.default_rng(0)).shape == (2, 3, 8, 8)
    (tmp_path / "params.yaml").write_text("prepare: {path: memory://other}\n")
    with pytest.raises(CorruptImageError):
        PreparedData.open(folder).train.view(0)
    system.rm("/me:hunter22@set", recursive=True)
    with pytest.raises(GigatokError) as missing:
        open_shards(address)
    system.pipe_file("/me:hunter22@set/shards.json", (shards / "shards.json").read_bytes())
    with pytest.raises(GigatokError, match=r"memory://set/index.parquet cannot be read") as unreadable:
        open_shards(address)
    assert "hunter22" not in f"{missing.value} {unreadable.value}"
