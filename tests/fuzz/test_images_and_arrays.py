"""Readers of pixels and tokens: images, .npz, .npy, Parquet, folders."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import altered, files, fuzzed, npz, value_or_one_error
from hypothesis import example, given
from hypothesis import strategies as st
from image_files import BASE, encoded, image_folder, noise, section

from gigatok.artifacts.outputs.indices import StoredIndices
from gigatok.cli.files.tokens import read_tokens, write_tokens
from gigatok.data import PreparedData, prepare
from gigatok.data.image_files import natural_key, take_files
from gigatok.data.images import LARGEST_PIXELS, decode_with_traits
from gigatok.data.parquet import open_parquet
from gigatok.evaluation.inputs.files import open_set

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MODES = ("RGBA", "P", "LA", "1")
IMAGES = [encoded(noise(1), kind) for kind in KINDS] + [encoded(noise(2).convert(mode)) for mode in MODES]


@pytest.mark.filterwarnings("ignore")
@fuzzed
@given(files(*IMAGES))
def test_images(data: bytes) -> None:
    found = value_or_one_error(lambda: decode_with_traits(data, "x.png"))
    if found is not None:
        assert found.picture.mode == "RGB"
        assert found.picture.width * found.picture.height <= LARGEST_PIXELS


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
SETS = [npz(arr_0=PIXELS), npz(arr_0=PIXELS, arr_1=np.arange(3)), npz(mu=np.zeros(4), sigma=np.eye(4))]


@fuzzed
@given(data=files(*SETS))
def test_sets_in_npz_files(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.npz").write_bytes(data)
    found = value_or_one_error(lambda: open_set(tmp_path / "set.npz"))
    if found is not None and found.images is not None:
        assert found.images.dtype == np.uint8
        assert found.images.shape[3] == 3
    if found is not None and found.moments is not None:
        assert np.isfinite(found.moments.pool.covariance).all()


STORED = {"train": np.ones((3, 1, 4), np.uint16), "validation": np.ones((2, 4), np.uint16)}
LABELS = {"train_labels": np.arange(3), "validation_labels": np.arange(2), "source": np.array("x")}


@fuzzed
@given(data=files(npz(**STORED, **LABELS), npz(**STORED)))
def test_stored_indices(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "indices.npz").write_bytes(data)
    found = value_or_one_error(lambda: StoredIndices.open(tmp_path / "indices.npz"))
    if found is not None:
        assert len(found.train_labels) == len(found.train.astype(np.int64)) == len(found.train)
        assert found.validation.shape == (len(found.validation_labels), found.validation[:1].size)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A token file of two images."""
    import torch

    path = tmp_path_factory.mktemp("tokens") / "t.npz"
    about = {"sha256": "0" * 64, "codebook_size": 32, "image_size": 16}
    write_tokens(path, torch.arange(8).view(2, 4), ["a.png", "b.png"], about)
    return path


@fuzzed
@given(data=st.data())
def test_token_files(data: st.DataObject, tokens: Path) -> None:
    content = tokens.read_bytes()
    manifest = json.loads(tokens.with_suffix(".json").read_text())
    try:
        if data.draw(st.booleans()):
            changed = data.draw(files(content))
            tokens.write_bytes(changed)
            tokens.with_suffix(".json").write_text(
                json.dumps({**manifest, "tokens_sha256": hashlib.sha256(changed).hexdigest()})
            )
        else:
            tokens.with_suffix(".json").write_text(json.dumps(data.draw(altered(manifest))))
        found = value_or_one_error(lambda: read_tokens(tokens, "0" * 64))
        if found is not None:
            assert found.indices.shape == (2, 4)
            assert 0 <= int(found.indices.min()) <= int(found.indices.max()) < 32
    finally:
        tokens.write_bytes(content)
        tokens.with_suffix(".json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``prepare`` wrote of ten images."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(section(image_folder(folder / "in", {"a": 6, "b": 4})), BASE, folder / "out")
    return folder / "out"


@fuzzed
@given(data=st.data())
def test_prepared_data(data: st.DataObject, prepared: Path) -> None:
    name = data.draw(st.sampled_from(("train.npy", "validation.npy", "index.parquet", "summary.json")))
    whole = (prepared / name).read_bytes()
    try:
        if name == "summary.json" and data.draw(st.booleans()):
            (prepared / name).write_text(json.dumps(data.draw(altered(json.loads(whole)))))
        else:
            (prepared / name).write_bytes(data.draw(files(whole)))
        found = value_or_one_error(lambda: PreparedData.open(prepared))
        if found is not None:
            assert found.train.uint8().shape == (len(found.train), 8, 8, 3)
            assert len(found.train.labels) == len(found.train.ids) == len(found.train)
    finally:
        (prepared / name).write_bytes(whole)


def parquet(**columns: list[object]) -> bytes:
    """A Parquet file of two images."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [encoded(noise(0)), encoded(noise(1))], **columns}), buffer)
    return buffer.getvalue()


@fuzzed
@given(data=files(parquet(label=["a", "b"]), parquet(label=[0, 1], concept=["x", "y"], split=["train", "val"])))
def test_parquet_files(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(data)
    source = value_or_one_error(lambda: open_parquet(str(path)))
    for record in source.records if source is not None else ():
        assert record.label < len(source.classes)
        content = value_or_one_error(lambda record=record: source.reader(record.location))
        assert content is None or isinstance(content, bytes)


LETTERS = st.characters(exclude_characters="/\0")
NAMES = st.text(LETTERS, min_size=1, max_size=20).filter(lambda name: name not in (".", ".."))


@fuzzed
@given(st.lists(st.tuples(NAMES, st.sampled_from(["", ".png", ".PNG", ".txt"]), st.integers(0, 3)), max_size=8))
@example([("0.\x1f", "", 3)])  # an ending that cannot be printed
def test_folders_of_odd_names(entries: list[tuple[str, str, int]]) -> None:
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for stem, suffix, kind in entries:
            path = root / f"{stem}{suffix}"
            try:
                if os.path.lexists(path):
                    continue  # writing to a pipe would wait for ever
                if kind == 0:
                    path.mkdir()
                elif kind == 1:
                    path.symlink_to(f"{entries[0][0]}{entries[0][1]}")
                elif kind == 2:
                    os.mkfifo(path)
                else:
                    path.write_bytes(b"x")
            except (OSError, UnicodeEncodeError):
                continue  # a name that this file system cannot have
        taken = value_or_one_error(lambda: take_files(root))
        assert taken is not None
        assert list(taken.names) == sorted(taken.names, key=natural_key)
        assert all((root / name).is_file() for name in taken.names)
        assert taken.describe().isprintable()
    finally:
        shutil.rmtree(root)
