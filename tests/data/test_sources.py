"""Image folders and Parquet files: what they list, and what they refuse."""

import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import encoded, image_folder, noise

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.parquet import open_parquet


def write_parquet(path: Path, **columns: list[object]) -> Path:
    """A Parquet file; ``image`` defaults to one picture a row."""
    count = len(next(iter(columns.values())))
    images = columns.pop("image", [encoded(noise(number)) for number in range(count)])
    pq.write_table(pa.table({"image": images, **columns}), path)
    return path


def test_folders_are_classes_and_files_their_images(tmp_path: Path) -> None:
    image_folder(tmp_path, {"dog": 2, "cat": 1})
    (tmp_path / "dog" / "deep").mkdir()
    (tmp_path / "dog" / "deep" / "3.JPEG").write_bytes(b"x")
    (tmp_path / "dog" / "notes.txt").write_text("x")
    (tmp_path / ".cache").mkdir()
    source = open_imagefolder(str(tmp_path))
    assert source.classes == ["cat", "dog"]
    assert [(record.label, record.concept, record.split) for record in source.records] == [
        (0, "cat/0.png", None),
        (1, "dog/0.png", None),
        (1, "dog/1.png", None),
        (1, "dog/deep/3.JPEG", None),
    ]
    assert source.reader(source.records[3].location) == b"x"


@pytest.mark.parametrize("name", ["val", "validation"])
def test_imagenets_layout_brings_its_own_split(tmp_path: Path, name: str) -> None:
    image_folder(tmp_path / "train", {"a": 2, "b": 2})
    image_folder(tmp_path / name, {"b": 1})
    source = open_imagefolder(str(tmp_path))
    assert [(record.label, record.split) for record in source.records] == [
        (0, "train"),
        (0, "train"),
        (1, "train"),
        (1, "train"),
        (1, "validation"),
    ]
    # b/0.png is in both: two images, two concepts.
    assert len({record.concept for record in source.records}) == 5


def test_folder_mistakes_name_the_folder_and_the_fix(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 1})
    image_folder(tmp_path / "val", {"z": 1})
    (tmp_path / "flat").mkdir()
    (tmp_path / "hollow" / "c").mkdir(parents=True)
    for folder, message in {
        "": r"classes \['z'\] are in val but not in train",
        "flat": "flat has no class folders",
        "hollow": "c has no images",
        "missing": "missing' is not a folder",
    }.items():
        with pytest.raises(GigatokError, match=message):
            open_imagefolder(str(tmp_path / folder))


def test_a_file_that_is_gone_counts_as_damaged(tmp_path: Path) -> None:
    source = open_imagefolder(str(image_folder(tmp_path, {"a": 1})))
    Path(source.records[0].location).unlink()
    with pytest.raises(CorruptImageError, match=r"0\.png.*No such file"):
        source.reader(source.records[0].location)


def test_parquet_rows_with_text_labels_concepts_and_splits(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet", label=["b", "a", "b"], concept=["1", "2", "1"], split=["val", "train", "validation"]
    )
    source = open_parquet(str(path))
    assert source.classes == ["a", "b"]
    assert source.records[0] == (f"{path}#0", 1, "1", "validation")
    assert [record.split for record in source.records] == ["validation", "train", "validation"]
    assert source.reader(f"{path}#2") == encoded(noise(2))


def test_parquet_numbers_are_sorted_as_numbers_and_rows_are_concepts(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", label=[10, 9, 10])
    source = open_parquet(str(path))
    assert source.classes == ["9", "10"]
    assert len({record.concept for record in source.records}) == 3


def test_a_folder_of_parquet_files_with_hugging_faces_image_struct(tmp_path: Path) -> None:
    for name in ("b", "a"):
        images = [{"bytes": encoded(noise(5)), "path": "n.png"}, {"bytes": None, "path": None}]
        write_parquet(tmp_path / f"{name}.parquet", label=[0, 1], image=images)
    source = open_parquet(str(tmp_path))
    assert [Path(record.location).name for record in source.records] == [
        "a.parquet#0",
        "a.parquet#1",
        "b.parquet#0",
        "b.parquet#1",
    ]
    assert source.reader(source.records[0].location) == encoded(noise(5))
    assert source.reader(source.records[1].location) == b""


def test_a_pickled_reader_leaves_the_pixels_behind(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", label=[0])
    reader = open_parquet(str(path)).reader
    first = reader(f"{path}#0")
    assert len(pickle.dumps(reader)) < 200
    assert pickle.loads(pickle.dumps(reader))(f"{path}#0") == first


def test_parquet_mistakes_name_the_file_and_the_fix(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(write_parquet(tmp_path / "ok.parquet", label=[1]).read_bytes()[:-9])
    write_parquet(tmp_path / "none.parquet", other=[1])
    write_parquet(tmp_path / "empty.parquet", label=["a", None])
    write_parquet(tmp_path / "side.parquet", label=["a"], split=["test"])
    for name, message in {
        "torn": "torn.parquet cannot be read as Parquet",
        "none": "has no column 'label', only image, other",
        "empty": "#1 has no label",
        "side": "split 'test': use one of train, val, validation",
        "missing": "has no Parquet file",
    }.items():
        with pytest.raises(GigatokError, match=message):
            open_parquet(str(tmp_path / f"{name}.parquet"))
