"""The index of shards, their description, and the tar files themselves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from fuzzing import altered, files, fuzzed, value_or_one_error
from hypothesis import given
from hypothesis import strategies as st
from image_files import image_folder

from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.shards.manifest import Place
from gigatok.data.shards.read import ShardReader, open_shards
from gigatok.data.shards.write import write_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images in two shards."""
    folder = tmp_path_factory.mktemp("shards")
    source = open_imagefolder(str(image_folder(folder / "in", {"a": 3, "b": 2})))
    write_shards(source, folder / "out", images=3, workers=1, progress=lambda done, total: None)
    return folder / "out"


def opened(shards: Path) -> None:
    """Open the shards: all that is listed lies inside them, and is an image's bytes or a damaged image."""
    found = value_or_one_error(lambda: open_shards(str(shards)))
    for record in found.records if found is not None else ():
        place = Place.parse(record.location)
        assert Path(place.file).parent == shards
        assert record.label < len(found.classes)  # type: ignore[union-attr]
        data = value_or_one_error(lambda record=record: found.reader(record.location))  # type: ignore[misc, union-attr]
        assert data is None or len(data) == place.length


@fuzzed
@given(data=st.data())
def test_descriptions_of_shards(data: st.DataObject, shards: Path) -> None:
    path = shards / "shards.json"
    whole = path.read_bytes()
    try:
        if data.draw(st.booleans()):
            path.write_text(json.dumps(data.draw(altered(json.loads(whole)))))
        else:
            path.write_bytes(data.draw(files(whole)))
        opened(shards)
    finally:
        path.write_bytes(whole)


@fuzzed
@given(data=st.data())
def test_indices_of_shards(data: st.DataObject, shards: Path) -> None:
    index, manifest = shards / "index.parquet", shards / "shards.json"
    whole, about = index.read_bytes(), manifest.read_bytes()
    try:
        changed = data.draw(files(whole))
        index.write_bytes(changed)
        sha256 = hashlib.sha256(changed).hexdigest()
        manifest.write_text(json.dumps({**json.loads(about), "index_sha256": sha256}))
        opened(shards)
    finally:
        index.write_bytes(whole)
        manifest.write_bytes(about)


@fuzzed
@given(data=st.data())
def test_tar_files(data: st.DataObject, shards: Path) -> None:
    path = shards / "shard-000000.tar"
    whole = path.read_bytes()
    source = open_shards(str(shards))
    expected = [source.reader(record.location) for record in source.records]
    try:
        path.write_bytes(data.draw(files(whole)))
        reader = ShardReader()
        for record, content in zip(source.records, expected, strict=True):
            found = value_or_one_error(lambda record=record: reader(record.location))  # type: ignore[misc]
            assert found in (None, content)
    finally:
        path.write_bytes(whole)


@fuzzed
@given(st.one_of(st.text(max_size=30), st.from_regex(r"\A/[a-z.]{0,9}#[0-9]{1,19}\+[0-9]{1,11}\+[0-9a-f]{8}\Z")))
def test_places(location: str) -> None:
    assert value_or_one_error(lambda: ShardReader()(location)) in (None, b"")
