import errno
import filecmp
import json
import os
import resource
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from image_files import BASE, encoded, image_folder, noise, section
from PIL import Image

from gigatok.config import GigatokError
from gigatok.data import CorruptImageError, PreparedData, prepare, source
from gigatok.data.imagefolder import open_imagefolder
from gigatok.data.images import decode_rgb
from gigatok.data.shards.write import write_shards
from gigatok.data.transforms import center_crop, ten_crop


def damage(file: Path) -> Path:
    """Cut a file in half."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return file


def test_every_image_lands_once_with_its_label_and_pixels(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10, "b": 20})
    summary = prepare(section(root), BASE, tmp_path / "out")
    data = PreparedData.open(tmp_path / "out")
    assert data.summary == summary
    assert summary.classes == ["a", "b"]
    assert (summary.train.per_class, summary.validation.per_class) == ({"a": 9, "b": 18}, {"a": 1, "b": 2})
    assert sorted([*data.train.ids, *data.validation.ids]) == list(range(30))
    files = sorted(root.rglob("*.png"), key=lambda f: (f.parent.name, int(f.stem)))  # ids count files in this order
    for images in (data.train, data.validation):
        for row in range(len(images)):
            file = files[images.ids[row]]
            assert summary.classes[images.labels[row]] == file.parent.name
            expected = center_crop(decode_rgb(file.read_bytes(), "x"), 8)
            np.testing.assert_array_equal(images.uint8()[row], expected)


def test_what_is_prepared_opens_without_pandas(tmp_path: Path) -> None:
    """Arrow imports it for the simplest conversions: a seventh of a second in every stage."""
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, tmp_path / "out")
    code = "import sys; from gigatok.data import PreparedData; print(len(PreparedData.open(sys.argv[1]).train)); "
    code += "print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "out"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9", "False"]


@pytest.mark.parametrize(("size", "file"), [(600, "train.npy"), (2000, "index.parquet")])
def test_no_room_is_one_line_and_what_is_there_is_no_data(tmp_path: Path, size: int, file: str) -> None:
    root = image_folder(tmp_path / "in", {"a": 6, "b": 4})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(GigatokError, match=rf"{file} cannot be written: .*File too large"):
            prepare(section(root), BASE, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "out").glob(".*.part"))
    with pytest.raises(GigatokError):
        PreparedData.open(tmp_path / "out")


def test_batches_are_channels_first(tmp_path: Path) -> None:
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, tmp_path / "out")
    images = PreparedData.open(tmp_path / "out").train
    batch = images.batch(np.array([3, 0]), np.random.default_rng(0))
    assert (batch.dtype, batch.shape) == (torch.uint8, (2, 3, 8, 8))
    np.testing.assert_array_equal(batch.permute(0, 2, 3, 1), images.uint8()[[3, 0]])


def test_two_runs_write_equal_bytes_whatever_the_threads(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10, "b": 10})
    for name, threads in (("one", 1), ("two", 2)):
        prepare(section(root), BASE.replace(threads=threads), tmp_path / name)
    names = ["index.parquet", "summary.json", "train.npy", "validation.npy"]
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == names
    for name in names:
        assert filecmp.cmp(tmp_path / "one" / name, tmp_path / "two" / name, shallow=False)


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_the_fingerprint_notices_one_changed_pixel(tmp_path: Path, augmentation: str) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    settings = section(root, image_size=20, augmentation=augmentation)
    before = prepare(settings, BASE, tmp_path / "out").data_sha256
    picture = noise(3)
    picture.putpixel((10, 10), (1, 2, 3))
    (root / "a" / "3.png").write_bytes(encoded(picture))
    assert prepare(settings, BASE, tmp_path / "out").data_sha256 != before


def test_augmented_training_images_are_read_from_their_files(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    prepare(section(root), BASE, tmp_path / "out")
    summary = prepare(section(root, augmentation="crop-flip"), BASE, tmp_path / "out")
    assert not (tmp_path / "out" / "train.npy").exists()
    assert (summary.train.packed, summary.validation.packed) == (False, True)
    images = PreparedData.open(tmp_path / "out").train
    rows = np.arange(4)
    plain = images.batch(rows)
    first, again, other = (images.batch(rows, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)
    np.testing.assert_array_equal(plain.permute(0, 2, 3, 1), images.uint8()[:4])


def test_ten_crops_come_from_the_source_picture(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    prepare(section(root), BASE, tmp_path / "out")
    images = PreparedData.open(tmp_path / "out").train
    crops = images.ten_crops(np.array([1]))
    assert crops.shape == (1, 10, 3, 8, 8)
    expected = ten_crop(noise(int(images.ids[1])), 8)
    np.testing.assert_array_equal(crops[0].permute(0, 2, 3, 1), expected)


def test_damaged_images_are_left_out_and_listed(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 20})
    damaged = damage(root / "a" / "4.png")
    summary = prepare(section(root, max_corrupt_share=0.05), BASE, tmp_path / "out")
    assert [image.location for image in summary.corrupt] == [str(damaged)]
    data = PreparedData.open(tmp_path / "out")
    assert len(data.train) + len(data.validation) == 19
    assert len(data.train.uint8()) == len(data.train)


def test_too_many_damaged_images_fail_naming_them(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 20})
    for number in range(7):
        damage(root / "a" / f"{number}.png")
    with pytest.raises(GigatokError) as caught:
        prepare(section(root, max_corrupt_share=0.3), BASE, tmp_path / "out")
    message = str(caught.value)
    assert "7 of the first 7 images are unreadable, more than prepare.max_corrupt_share 0.3 of all 20" in message
    assert "a/0.png" in message
    assert "and 2 more" in message
    with pytest.raises(GigatokError, match="dvc repro prepare"):
        PreparedData.open(tmp_path / "out")


def test_a_damaged_parquet_row_is_named(tmp_path: Path) -> None:
    images = [encoded(noise(number)) for number in range(10)]
    images[6] = images[6][:40]
    pq.write_table(pa.table({"image": images, "label": ["a"] * 10}), tmp_path / "x.parquet")
    with pytest.raises(GigatokError, match=r"x\.parquet#6"):
        prepare(section(tmp_path / "x.parquet", source="parquet"), BASE, tmp_path / "out")


def test_an_image_damaged_after_preparing_is_named_in_training(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    prepare(section(root, augmentation="crop-flip"), BASE, tmp_path / "out")
    images = PreparedData.open(tmp_path / "out").train
    damaged = damage(root / "a" / f"{images.ids[0]}.png")
    with pytest.raises(CorruptImageError, match=damaged.name):
        images.batch(np.array([0]), np.random.default_rng(0))


def test_own_splits_are_kept(tmp_path: Path) -> None:
    image_folder(tmp_path / "in" / "train", {"a": 3, "b": 3})
    image_folder(tmp_path / "in" / "val", {"a": 2, "b": 2}, first_seed=9)
    summary = prepare(section(tmp_path / "in"), BASE, tmp_path / "out")
    assert (summary.train.images, summary.validation.images) == (6, 4)


def test_the_emoji_limit_keeps_all_drawings_of_an_emoji(tmp_path: Path) -> None:
    summary = prepare(section(None, source="emoji", limit_concepts=40), BASE, tmp_path / "out")
    assert summary.train.concepts + summary.validation.concepts == 40
    index = pq.read_table(tmp_path / "out" / "index.parquet").to_pandas()
    assert list(index.columns) == ["id", "location", "label", "label_name", "concept", "split"]
    assert index.groupby("concept")["split"].nunique().max() == 1
    assert (index.groupby("concept").size() >= 2).all()
    assert len(summary.classes) == 9


def test_path_mistakes_name_the_setting(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match=r"prepare\.path is not set, but prepare\.source 'imagefolder' needs it"):
        prepare(section(None), BASE, tmp_path / "out")
    with pytest.raises(GigatokError, match=r"prepare\.path 'absent' does not exist: set it to"):
        prepare(section(Path("absent"), source="parquet"), BASE, tmp_path / "out")


def test_a_single_image_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(GigatokError, match="no image is left for validation"):
        prepare(section(image_folder(tmp_path / "in", {"a": 1})), BASE, tmp_path / "out")


def test_a_full_disk_is_noticed_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2000, 1000, 1000))
    with pytest.raises(GigatokError, match=r"GB are free: free some"):
        prepare(section(root), BASE, tmp_path / "out")


def test_torn_outputs_are_refused_with_the_fix(tmp_path: Path) -> None:
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, tmp_path / "ok")
    for name, content in {
        "train.npy": (tmp_path / "ok" / "train.npy").read_bytes()[:300],
        "validation.npy": (tmp_path / "ok" / "train.npy").read_bytes(),
        "summary.json": b'{"source":',
        "index.parquet": b"PAR1",
    }.items():
        shutil.copytree(tmp_path / "ok", tmp_path / name)
        (tmp_path / name / name).write_bytes(content)
        with pytest.raises(GigatokError, match="dvc repro -f prepare"):
            PreparedData.open(tmp_path / name)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    root = image_folder(tmp_path / "in", {"a": 10})
    prepare(section(root), BASE, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(number, 10) for number in range(1, 11)]


def test_the_summary_carries_no_times(tmp_path: Path) -> None:
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, tmp_path / "out")
    assert set(json.loads((tmp_path / "out" / "summary.json").read_text())) == {
        "source",
        "path",
        "image_size",
        "augmentation",
        "seed",
        "validation_fraction",
        "classes",
        "train",
        "validation",
        "corrupt",
        "data_sha256",
        "left_out",
        "linked",
        "traits",
        "files",
    }


def test_the_summary_says_what_was_left_out_and_how_pixels_were_read(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 8})
    (root / "a" / "notes.txt").write_text("x")
    (root / "a" / "100.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "elsewhere.png").write_bytes(encoded(noise(100)))
    clear = noise(101).convert("RGBA")
    clear.putalpha(100)
    (root / "a" / "101.png").write_bytes(encoded(clear))
    turned = Image.Exif()
    turned[0x112] = 6
    noise(102).save(root / "a" / "102.png", exif=turned)
    summary = prepare(section(root), BASE, tmp_path / "out")
    assert (summary.left_out, summary.linked) == ({"extension .txt": 1}, 1)
    assert summary.traits == {"EXIF rotation": 1, "transparency": 1}
    assert summary.describe().endswith(
        "11 images taken (1 through links), 1 left out: extension .txt 1; 1 with EXIF rotation, "
        "ignored; 1 with transparency, laid on white"
    )
    assert PreparedData.open(tmp_path / "out").summary == summary


def test_unreadable_images_give_the_same_summary_every_time(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    (root / "a" / "bad.png").write_bytes(b"<html>404</html>")
    (root / "a" / "empty.png").write_bytes(b"")
    (root / "a" / "torn.png").write_bytes(encoded(noise(5))[:60])
    kept, texts = [], set()
    for number in range(3):
        kept.append(bytearray(1000 + number))  # other addresses
        prepare(section(root, max_corrupt_share=0.5), BASE, tmp_path / "out")
        texts.add((tmp_path / "out" / "summary.json").read_text())
    assert len(texts) == 1
    assert "0x" not in texts.pop()


def test_an_index_of_other_columns_is_refused(tmp_path: Path) -> None:
    prepare(section(image_folder(tmp_path / "in", {"a": 10})), BASE, tmp_path / "out")
    index = pq.read_table(tmp_path / "out" / "index.parquet")
    for changed in (
        index.drop(["split"]),
        index.slice(3),
        index.set_column(2, "label", pa.array([None] * 10, pa.int64())),
    ):
        pq.write_table(changed, tmp_path / "out" / "index.parquet")
        with pytest.raises(GigatokError, match="dvc repro -f prepare"):
            PreparedData.open(tmp_path / "out")


def test_a_disk_that_fails_ends_the_stage_and_no_image_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = image_folder(tmp_path / "in", {"a": 10})
    monkeypatch.setattr(source, "WAITS", (0.0,))
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == "3.png":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(GigatokError, match=r"3\.png could not be read in 2 attempts .*run the same command again"):
        prepare(section(root, max_corrupt_share=0.5), BASE, tmp_path / "out")
    monkeypatch.undo()
    assert prepare(section(root), BASE, tmp_path / "out").corrupt == []


def test_too_many_damaged_images_are_said_once_that_is_certain(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "in", {"a": 20})
    for number in (2, 5, 7):
        damage(root / "a" / f"{number}.png")
    seen: list[int] = []
    said = r"2 of the first 6 images are unreadable, .*max_corrupt_share 0\.05 of all 20"
    with pytest.raises(GigatokError, match=said):
        prepare(section(root, max_corrupt_share=0.05), BASE, tmp_path / "out", lambda done, _: seen.append(done))
    assert max(seen) == 5


@pytest.mark.parametrize("kind", ["imagefolder", "parquet", "shards"])
def test_a_split_of_its_own_may_be_asked_for(tmp_path: Path, kind: str) -> None:
    """Profile ``paper``: ImageNet's train/ alone would lose a tenth of its images without a word."""
    image_folder(tmp_path / "in" / "train", {"a": 6})
    if kind == "parquet":
        (tmp_path / "alone").mkdir()
        for folder, names in {"alone": ["train"], "both": ["train", "val"]}.items():
            (tmp_path / folder).mkdir(exist_ok=True)
            for name in names:
                table = pa.table({"image": [encoded(noise(number)) for number in range(4)], "label": ["a"] * 4})
                pq.write_table(table, tmp_path / folder / f"{name}.parquet")
    else:
        image_folder(tmp_path / "both" / "train", {"a": 6})
        image_folder(tmp_path / "both" / "val", {"a": 2}, first_seed=9)
        shutil.copytree(tmp_path / "both" / "train", tmp_path / "alone")
    paths = {name: tmp_path / name for name in ("alone", "both")}
    if kind == "shards":
        for name, path in paths.items():
            paths[name] = tmp_path / f"{name}-shards"
            write_shards(open_imagefolder(str(path)), paths[name], images=4, workers=1, progress=lambda *_: None)
    with pytest.raises(GigatokError, match=r"prepare\.path '\S+' has no validation split, and profile paper"):
        prepare(section(paths["alone"], source=kind), BASE, tmp_path / "out", own_split=True)
    assert prepare(section(paths["alone"], source=kind), BASE, tmp_path / "out").validation.images == 1
    assert prepare(section(paths["both"], source=kind), BASE, tmp_path / "out", own_split=True).validation.images > 1
