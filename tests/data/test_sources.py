"""Image folders and Parquet files: what they list, and what they refuse."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from image_files import encoded, image_folder, noise

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.parquet import ParquetReader, open_parquet
from gigatok.data.row_groups import RowGroups, values


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
    image_folder(tmp_path / "split" / "train", {"a": 1})
    image_folder(tmp_path / "split" / "val", {"z": 1})
    (tmp_path / "flat").mkdir()
    (tmp_path / "hollow" / "c").mkdir(parents=True)
    for folder, message in {
        "split": r"classes \['z'\] are in val but not in train",
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


def test_a_row_group_at_a_time_is_held_whatever_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = [rng.bytes(1000) for _ in range(40)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": images, "label": [0] * 40}), path, row_group_size=6)
    read, groups = RowGroups.read, []

    def watch(self: RowGroups, group: int, columns: Sequence[str]) -> pa.Table:
        groups.append(group)
        return read(self, group, columns)

    monkeypatch.setattr(RowGroups, "read", watch)
    monkeypatch.setattr("gigatok.data.parquet._HELD", 13_000)  # two groups of six
    reader = ParquetReader()
    for row in (*range(40), *rng.permutation(40).tolist()):
        assert reader(f"{path}#{row}") == images[row]
        assert 1 <= len(reader._held) <= 2
    assert groups[:7] == [0, 1, 2, 3, 4, 5, 6]
    for row in (40, -1):
        with pytest.raises(CorruptImageError, match=f"x.parquet#{row} cannot be read .index out of bounds"):
            reader(f"{path}#{row}")


def test_threads_share_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigatok.data.parquet._HELD", 1)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": [b"%d" % row for row in range(64)], "label": [0] * 64}), path, row_group_size=4)
    reader = ParquetReader()
    with ThreadPoolExecutor(4) as pool:
        rows = np.random.default_rng(0).integers(64, size=100).tolist()
        found = pool.map(lambda row: reader(f"{path}#{row}"), rows)
        assert list(found) == [b"%d" % row for row in rows]


COPIES = 1_000_000
"""Of a picture of 100 KB, in a file of a few KB: 100 GB when every copy is one."""


@pytest.mark.parametrize("column", ["image", "struct", "label"])
def test_a_value_that_is_stored_once_is_held_once(tmp_path: Path, column: str) -> None:
    rows = pa.array(np.zeros(COPIES, np.int32))
    image = pa.DictionaryArray.from_arrays(rows, pa.array([b"\7" * 100_000]))
    if column == "struct":
        image = pa.StructArray.from_arrays([image], ["bytes"])
    label = pa.DictionaryArray.from_arrays(rows, pa.array(["x" * 100_000]))
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": image, "label": label}), path, store_schema=False)
    assert path.stat().st_size < 300_000
    before = pa.default_memory_pool().max_memory()
    if column == "label":
        found = RowGroups(path).read(0, ["label"])
        assert len({id(each) for each in values(found.column("label"))}) == 1
    else:
        assert ParquetReader()(f"{path}#{COPIES // 2}") == b"\7" * 100_000
    assert pa.default_memory_pool().max_memory() - before < 200 * 2**20


def test_a_group_beyond_the_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.parquet"
    image = bytes(2**16)
    pq.write_table(pa.table({"image": [image] * 20, "label": [0] * 20}), path, use_dictionary=False)
    delta = tmp_path / "delta.parquet"
    encodings = {"column_encoding": {"image": "DELTA_BYTE_ARRAY"}, "use_dictionary": False}
    pq.write_table(pa.table({"image": [image] * 40, "label": [0] * 40}), delta, **encodings)
    assert ParquetReader()(f"{path}#3") == ParquetReader()(f"{delta}#30") == image
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(18 * 2**16))
    for each, row in ((path, 3), (delta, 30)):
        message = rf"{each.name}: row group 0 takes \d+ MiB, more than the memory that is free: write the file again"
        with pytest.raises(GigatokError, match=message):
            ParquetReader()(f"{each}#{row}")


class Memory(NamedTuple):
    """What psutil says."""

    available: int


def test_parquet_mistakes_name_the_file_and_the_fix(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(write_parquet(tmp_path / "ok.parquet", label=[1]).read_bytes()[:-9])
    write_parquet(tmp_path / "none.parquet", other=[1])
    write_parquet(tmp_path / "empty.parquet", label=["a", None])
    write_parquet(tmp_path / "side.parquet", label=["a"], split=["eval"])
    write_parquet(tmp_path / "kind.parquet", label=[0.5])
    write_parquet(tmp_path / "truth.parquet", label=[True])
    for name, message in {
        "torn": "torn.parquet cannot be read as Parquet",
        "none": "has no column 'label', only image, other",
        "empty": "#1 has no label",
        "side": "split 'eval': use one of train, val, validation, test",
        "kind": "label '0.5': use text or whole numbers",
        "truth": "label 'True': use text or whole numbers",
        "missing": "has no Parquet file",
    }.items():
        with pytest.raises(GigatokError, match=message):
            open_parquet(str(tmp_path / f"{name}.parquet"))


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "VALIDATION", "Testing"), ("TRAIN", "valid", "TEST")]
)
def test_split_folders_are_splits_in_any_case_and_a_test_split_is_left_out(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name, count in zip(names, (3, 2, 4), strict=True):
        image_folder(tmp_path / name, {"a": count})
    (tmp_path / "devkit").mkdir()
    (tmp_path / "devkit" / "readme.txt").write_text("x")
    source = open_imagefolder(str(tmp_path))
    assert source.classes == ["a"]
    assert [record.split for record in source.records] == ["train"] * 3 + ["validation"] * 2
    assert source.left_out == {"extension .txt": 1, "test split": 4}


def test_training_beside_a_test_split_has_none_of_its_own(tmp_path: Path) -> None:
    image_folder(tmp_path / "train", {"a": 3, "b": 1})
    image_folder(tmp_path / "test", {"a": 2})
    source = open_imagefolder(str(tmp_path))
    assert [(record.concept, record.split) for record in source.records][:1] == [("train/a/0.png", None)]
    assert (len(source.records), source.left_out) == (4, {"test split": 2})


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train/a", "val/a", "cat"), "some names are splits .* and others are not; expected ROOT/CLASS"),
        (("cat", "dog", "test"), "some names are splits"),
        (("val/a",), "holds validation but no train; expected ROOT/CLASS"),
        (("test/a", "val/a"), "holds test and validation but no train"),
        (("train/a", "val/a", "validation/a"), "val and validation are both the validation split"),
        (("cat/train", "cat/val", "dog/train"), r"cat/train/0\.png lies in a split \(train\) below its class"),
        (("ILSVRC/Data/train/a", "ILSVRC/Data/val/a"), "lies in a split .* set prepare.path to the folder"),
    ],
)
def test_splits_that_cannot_be_told_from_classes_are_refused(
    tmp_path: Path, folders: tuple[str, ...], message: str
) -> None:
    for folder in folders:
        image_folder((tmp_path / folder).parent, {(tmp_path / folder).name: 1})
    with pytest.raises(GigatokError, match=message):
        open_imagefolder(str(tmp_path))


@pytest.mark.parametrize(
    "names", [("training_set", "test_set"), ("TrainImages", "test-images"), ("train2017", "Test_2017")]
)
def test_words_that_say_no_more_leave_a_split_a_split(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, count in zip(names, (3, 2), strict=True):
        image_folder(tmp_path / name, {"cats": count, "dogs": 1})
    source = open_imagefolder(str(tmp_path))
    assert source.classes == ["cats", "dogs"]
    assert (len(source.records), source.left_out) == (4, {"test split": 3})


@pytest.mark.parametrize(
    "folders",
    [
        ("cifar-train/cat", "cifar-test/cat"),
        ("cats_train", "cats_test", "dogs_train", "dogs_test"),
        ("cifar_test/cat", "cifar_test/dog"),
        ("cat", "dog", "pets_test/cat", "pets_test/dog"),
        ("pets-train/cat", "pets-dev/cat", "extra/fox"),
    ],
)
def test_what_may_be_held_out_data_does_not_become_classes(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder in folders:
        image_folder((tmp_path / folder).parent, {(tmp_path / folder).name: 1})
    with pytest.raises(GigatokError, match=r"may be splits, .* expected ROOT/CLASS.*call splits train, val and test"):
        open_imagefolder(str(tmp_path))


@pytest.mark.parametrize(
    "classes",
    [
        ("car", "plane", "train"),
        ("bullet_train", "freight_train"),
        ("bottle", "test-tube"),
        ("validator", "testudo", "latest"),
    ],
)
def test_classes_may_have_the_words_of_splits_in_their_names(tmp_path: Path, classes: tuple[str, ...]) -> None:
    source = open_imagefolder(str(image_folder(tmp_path, dict.fromkeys(classes, 2))))
    assert source.classes == sorted(classes)
    assert (len(source.records), source.left_out) == (2 * len(classes), {})


def test_a_train_beside_held_out_data_is_no_vehicle(tmp_path: Path) -> None:
    image_folder(tmp_path, {"cat": 1, "train": 1, "pets_test": 1})
    with pytest.raises(GigatokError, match="some names are splits"):
        open_imagefolder(str(tmp_path))


def test_folders_of_systems_are_no_classes(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 1, "@eaDir": 1, "__MACOSX": 1, ".git": 1})
    (tmp_path / "a" / "@eaDir").mkdir()
    source = open_imagefolder(str(tmp_path))
    assert (source.classes, len(source.records), source.left_out) == (["a"], 1, {"hidden": 4})


def test_a_class_may_be_called_like_a_split_inside_a_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image_folder(tmp_path / split, {"bus": 1, "train": 1})
    assert open_imagefolder(str(tmp_path)).classes == ["bus", "train"]


def test_classes_and_files_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    image_folder(tmp_path, {"10": 1, "9": 11})
    source = open_imagefolder(str(tmp_path))
    assert source.classes == ["9", "10"]
    assert [Path(record.location).stem for record in source.records][:11] == list(map(str, range(11)))


def test_what_does_not_count_is_counted(tmp_path: Path) -> None:
    image_folder(tmp_path, {"a": 2})
    (tmp_path / "a" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "a" / ".ipynb_checkpoints" / "0-checkpoint.png").write_bytes(encoded(noise(0)))
    (tmp_path / "a" / "._0.png").write_bytes(bytes(64))
    (tmp_path / "loose.png").write_bytes(encoded(noise(1)))
    source = open_imagefolder(str(tmp_path))
    assert len(source.records) == 2
    assert source.left_out == {"hidden": 2, "outside the class folders": 1}


def shards(root: Path, *names: str) -> Path:
    """Two labelled rows in each file."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_parquet(root / name, label=[0, 1])
    return root


@pytest.mark.parametrize(
    "names",
    [
        ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet", "validation-0.parquet", "test-0.parquet"),
        ("data/train-1.parquet", "data/train-2.parquet", "data/Val.parquet", "data/TEST_0.parquet"),
        ("x/train/0.parquet", "x/train/1.parquet", "x/validation/0.parquet", "x/test/0.parquet"),
        ("cifar10-train.parquet", "cifar10-train_2.parquet", "cifar10.val.parquet", "cifar10-test.parquet"),
        ("CIFAR10Train.parquet", "b_training_set.parquet", "valset.parquet", "cifar10test.parquet"),
        ("pets-train/0.parquet", "pets-train/1.parquet", "pets-val/0.parquet", "pets-test/0.parquet"),
    ],
)
def test_shards_are_splits_by_their_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    source = open_parquet(str(shards(tmp_path, *names)))
    assert sorted(str(record.split) for record in source.records) == ["train"] * 4 + ["validation"] * 2
    assert source.left_out == {"test split": 2}
    assert len({record.concept for record in source.records}) == 6


def test_shards_without_splits_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = open_parquet(str(shards(tmp_path, "part-10.parquet", "part-9.parquet", "trainable.parquet")))
    assert [Path(record.location).name for record in source.records][::2] == [
        "part-9.parquet#0",
        "part-10.parquet#0",
        "trainable.parquet#0",
    ]
    assert {record.split for record in source.records} == {None}


def test_training_shards_beside_test_shards_have_no_split_of_their_own(tmp_path: Path) -> None:
    source = open_parquet(str(shards(tmp_path, "train-0.parquet", "test-0.parquet")))
    assert [(Path(record.location).name, record.split) for record in source.records] == [
        ("train-0.parquet#0", None),
        ("train-0.parquet#1", None),
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train-0.parquet", "more.parquet"), "some names are splits"),
        (("validation-0.parquet",), "holds validation but no train"),
        (("cifar10-test.parquet",), "holds test but no train"),
        (("cifar10-train-test.parquet",), "named after test and train: name it after the one whose rows it has"),
    ],
)
def test_shards_that_cannot_be_told_apart_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(GigatokError, match=message):
        open_parquet(str(shards(tmp_path, *names)))


def test_rows_without_a_class_are_no_class(tmp_path: Path) -> None:
    write_parquet(tmp_path / "train-0.parquet", label=[0, 1, -1])
    write_parquet(tmp_path / "validation-0.parquet", label=[1])
    write_parquet(tmp_path / "test-0.parquet", label=[-1, -1])
    source = open_parquet(str(tmp_path))
    assert source.classes == ["0", "1"]
    assert source.left_out == {"label -1, which is no class": 1, "test split": 2}


def test_rows_of_a_test_split_are_left_out(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", label=["a", "a", None], split=["Train", "VAL", "test"])
    source = open_parquet(str(path))
    assert [record.split for record in source.records] == ["train", "validation"]
    assert source.left_out == {"test split": 1}


def test_rows_for_training_alone_have_no_split_of_their_own(tmp_path: Path) -> None:
    """As in folders and files: a part of them is held out."""
    for name, splits in {"alone": ["train"] * 3, "test": ["train", "training", "test"]}.items():
        path = write_parquet(tmp_path / f"{name}.parquet", label=["a"] * 3, split=splits)
        assert {record.split for record in open_parquet(str(path)).records} == {None}
    path = write_parquet(tmp_path / "some.parquet", label=["a"] * 3, split=["train", "val", None])
    assert [record.split for record in open_parquet(str(path)).records] == ["train", "validation", None]
    path = write_parquet(tmp_path / "held.parquet", label=["a"] * 2, split=["val", "val"])
    with pytest.raises(GigatokError, match="holds validation but no train; expected a column split with train and"):
        open_parquet(str(path))


def test_a_row_that_is_gone_counts_as_damaged(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", label=[0])
    with pytest.raises(CorruptImageError, match=r"x\.parquet#7"):
        open_parquet(str(path)).reader(f"{path}#7")


def test_a_footer_that_contradicts_itself_is_an_error_and_not_the_end_of_the_process() -> None:
    """One byte of its footer was changed: Arrow aborts where the record of a column is asked for."""
    path = Path(__file__).with_name("contradicting_footer.parquet")
    script = (
        "import sys; from pathlib import Path; from gigatok.data.row_groups import RowGroups; "
        "RowGroups(Path(sys.argv[1])).read(0, ['key'])"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "GigatokError: prepare.path: " in done.stderr
    assert "cannot be read as Parquet (Definition level histogram size mismatch" in done.stderr
