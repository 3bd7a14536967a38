"""Folders, arrays and ADM's files: round trips, lossy files, sizes, damage."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.inputs.evaluation_set import Moments, content_sha256, evaluation_set
from gigatok.evaluation.inputs.files import open_set, write_adm_npz
from gigatok.evaluation.metrics.frechet import gaussian


def _images(count: int = 3, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def _save(folder: Path, images: np.ndarray, suffix: str) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03d}{suffix}")
    return folder


def test_a_folder_and_an_array_of_the_same_pixels_are_the_same_set(tmp_path: Path) -> None:
    images = _images()
    write_adm_npz(tmp_path / "set.npz", images)
    stored = open_set(tmp_path / "set.npz")
    folder = open_set(_save(tmp_path / "png", images, ".png"))
    assert stored.images is not None
    assert folder.images is not None
    np.testing.assert_array_equal(stored.images, images)
    np.testing.assert_array_equal(folder.images, images)
    assert folder.codec == "png"
    assert stored.codec == "none"
    assert folder.sha256 == evaluation_set(images, "x").sha256 == stored.sha256
    assert evaluation_set(images[:2], "x").sha256 != folder.sha256


def test_shape_and_type_belong_to_the_checksum() -> None:
    flat = np.zeros(12, dtype=np.uint8)
    assert len({content_sha256(flat), content_sha256(flat.reshape(3, 4)), content_sha256(flat.astype(np.int8))}) == 3


def test_adm_statistics_come_back(tmp_path: Path) -> None:
    pool, spatial = (gaussian(np.random.default_rng(seed).standard_normal((9, 4))) for seed in (0, 1))
    write_adm_npz(tmp_path / "stats.npz", moments=Moments(pool, spatial))
    stored = open_set(tmp_path / "stats.npz")
    assert stored.moments is not None
    assert stored.moments.spatial is not None
    np.testing.assert_array_equal(stored.moments.pool.covariance, pool.covariance)
    np.testing.assert_array_equal(stored.moments.spatial.mean, spatial.mean)
    with pytest.raises(GigatokError, match="holds statistics only: P/R needs images"):
        stored.needed_images("P/R")
    with np.load(tmp_path / "stats.npz") as archive:
        assert sorted(archive.files) == ["mu", "mu_s", "sigma", "sigma_s"]


def test_jpeg_is_refused_unless_asked_for(tmp_path: Path) -> None:
    folder = _save(tmp_path / "jpg", _images(), ".jpg")
    with pytest.raises(GigatokError, match="compression changes the score"):
        open_set(folder)
    assert open_set(folder, allow_lossy=True).codec == "jpeg"


def test_lossy_webp_is_refused_as_jpeg_is_and_lossless_is_not(tmp_path: Path) -> None:
    pictures = [Image.fromarray(image) for image in _images(2)]
    clear = pictures[0].convert("RGBA")
    clear.putalpha(100)
    for name, picture, options in (
        ("plain", pictures[0], {"lossless": False}),
        ("alpha", clear, {"lossless": False}),  # VP8X before VP8
        ("animated", pictures[0], {"lossless": False, "save_all": True, "append_images": pictures[1:]}),
    ):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "0.webp", **options)
        with pytest.raises(GigatokError, match="holds lossy webp files, whose compression changes the score"):
            open_set(tmp_path / name)
        assert open_set(tmp_path / name, allow_lossy=True).codec == "lossy webp"
    (tmp_path / "lossless").mkdir()
    pictures[0].save(tmp_path / "lossless" / "0.webp", lossless=True)
    clear.save(tmp_path / "lossless" / "1.webp", lossless=True, exact=True)
    assert open_set(tmp_path / "lossless").codec == "webp"


def test_a_renamed_jpeg_is_a_jpeg(tmp_path: Path) -> None:
    _save(tmp_path / "jpg", _images(1), ".jpg")
    (tmp_path / "jpg" / "000.jpg").rename(tmp_path / "jpg" / "000.png")
    with pytest.raises(GigatokError, match="holds jpeg files"):
        open_set(tmp_path / "jpg")


def test_statistics_beside_images_leave_the_images_their_own_checksum(tmp_path: Path) -> None:
    images, pool = _images(), gaussian(np.random.default_rng(0).standard_normal((9, 4)))
    write_adm_npz(tmp_path / "both.npz", images, Moments(pool, None))
    both, alone = open_set(tmp_path / "both.npz"), evaluation_set(images, "both.npz")
    assert both.sha256 != alone.sha256
    assert both.images_sha256 == alone.images_sha256 == alone.sha256
    assert both.content == f"{both.sha256}+{alone.sha256}"
    assert alone.content == alone.sha256
    bare = both.without_statistics()
    assert (bare.sha256, bare.identity, bare.moments) == (alone.sha256, alone.identity, None)


def test_a_crop_that_changes_nothing_is_none(tmp_path: Path) -> None:
    folder = _save(tmp_path / "png", _images(), ".png")
    assert open_set(folder, crop=8).crop is None
    assert open_set(folder, crop=6).crop == 6


def test_sizes_must_agree_or_be_cropped(tmp_path: Path) -> None:
    folder = _save(tmp_path / "mixed", _images(2, 8), ".png")
    Image.fromarray(_images(1, 12)[0]).save(folder / "999.png")
    with pytest.raises(GigatokError, match=r"999\.png' is 12x12, the images before it are 8x8"):
        open_set(folder)
    cropped = open_set(folder, crop=6)
    assert cropped.images is not None
    assert cropped.images.shape == (3, 6, 6, 3)


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "floats.npz", arr_0=np.zeros((2, 4, 4, 3)))
    np.savez(tmp_path / "pickle.npz", arr_0=np.array([{}], dtype=object))
    np.savez(tmp_path / "mean.npz", mu=np.zeros(3, np.int64), sigma=np.eye(3))
    np.savez(tmp_path / "nan.npz", mu=np.zeros(3), sigma=np.full((3, 3), np.nan))
    np.savez(tmp_path / "nothing.npz", arr_0=np.zeros((0, 4, 4, 3), np.uint8))
    (tmp_path / "empty").mkdir()
    for name, reason in {
        "torn.npz": "cannot be read",
        "other.npz": "expected arr_0, or mu and sigma",
        "floats.npz": "expected uint8",
        "pickle.npz": "cannot be read",
        "empty": "holds no images",
        "none.npz": "does not exist",
        "mean.npz": r"mean \(3,\) int64, covariance \(3, 3\) float64, expected floating-point",
        "nan.npz": "no finite numbers",
        "nothing.npz": "expected at least one",
        "none": "neither a folder nor an .npz",
    }.items():
        with pytest.raises(GigatokError, match=reason):
            open_set(tmp_path / name)


def test_what_counts_is_what_counts_everywhere_and_the_rest_is_recorded(tmp_path: Path) -> None:
    folder = _save(tmp_path / "set", _images(11), ".png")
    for name in ("._000.png", "notes.txt"):
        (folder / name).write_bytes(bytes(40))
    (folder / ".ipynb_checkpoints").mkdir()
    found = open_set(folder)
    assert found.images is not None
    assert len(found.images) == 11
    assert found.left_out == {"extension .txt": 1, "hidden": 2}
    assert found.names == tuple(f"{number:03d}.png" for number in range(11))


@pytest.mark.parametrize("suffix", [".tif", ".ppm", ".bmp", ".PNG"])
def test_every_known_extension_counts(tmp_path: Path, suffix: str) -> None:
    found = open_set(_save(tmp_path / "set", _images(), suffix))
    np.testing.assert_array_equal(found.images, _images())


def test_gif_and_jpeg_inside_tiff_are_lossy(tmp_path: Path) -> None:
    _save(tmp_path / "gif", _images(), ".gif")
    (tmp_path / "tiff").mkdir()
    Image.fromarray(_images(1, 32)[0]).save(tmp_path / "tiff" / "0.tif", compression="jpeg")
    for name, codec in (("gif", "gif"), ("tiff", "jpeg")):
        with pytest.raises(GigatokError, match=f"holds {codec} files, whose compression"):
            open_set(tmp_path / name)


def test_transparency_is_read_as_the_protocol_says_and_recorded(tmp_path: Path) -> None:
    images = _images(2)
    (tmp_path / "set").mkdir()
    for number, image in enumerate(images):
        clear = Image.fromarray(image).convert("RGBA")
        clear.putalpha(99)
        clear.save(tmp_path / "set" / f"{number}.png")
    white, dropped = open_set(tmp_path / "set"), open_set(tmp_path / "set", transparency="dropped")
    np.testing.assert_array_equal(dropped.images, images)
    assert white.sha256 != dropped.sha256
    assert white.traits == dropped.traits == {"transparency": 2}


def test_splits_are_no_set(tmp_path: Path) -> None:
    for name in ("train", "val"):
        _save(tmp_path / name, _images(), ".png")
    with pytest.raises(GigatokError, match="holds the splits train, val: pass one"):
        open_set(tmp_path)


def test_all_unreadable_files_are_named_at_once(tmp_path: Path) -> None:
    folder = _save(tmp_path / "set", _images(9), ".png")
    for number in (1, 3, 5, 7):
        (folder / f"{number:03d}.png").write_bytes(b"<html>")
    with pytest.raises(GigatokError, match=r"001\.png.*so are 003\.png .*; 005\.png .*; and 1 more"):
        open_set(folder)


@pytest.mark.parametrize("crop", [0, -5, 10**6])
def test_crops_are_bounded(tmp_path: Path, crop: int) -> None:
    with pytest.raises(ConfigError, match=f"crop {crop} is not in 1..4096"):
        open_set(_save(tmp_path / "set", _images(), ".png"), crop=crop)


def test_labels_in_order_say_that_classes_lie_together(tmp_path: Path) -> None:
    for name, labels, order in (("a", [0, 0, 1], "classes"), ("b", [0, 1, 0], "array"), ("c", [2, 2, 2], "array")):
        np.savez(tmp_path / f"{name}.npz", arr_0=_images(), arr_1=np.array(labels))
        assert open_set(tmp_path / f"{name}.npz").order == order
    _save(tmp_path / "d", _images(), ".png")
    (tmp_path / "d" / "cat").mkdir()
    (tmp_path / "d" / "000.png").rename(tmp_path / "d" / "cat" / "0.png")
    assert open_set(tmp_path / "d").order == "folders"


def test_arrays_that_ask_for_more_than_they_hold_take_no_memory(tmp_path: Path) -> None:
    whole = io.BytesIO()
    np.save(whole, np.zeros((2, 4, 4, 3), np.uint8))
    header = whole.getvalue()[:128].replace(b"'shape': (2, 4, 4, 3), }       ", b"'shape': (2000000, 4, 4, 3), } ")
    assert len(header) == 128
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("arr_0.npy", header + whole.getvalue()[128:])
    with pytest.raises(GigatokError, match="which is not what is stored"):
        open_set(tmp_path / "bomb.npz")
    np.save(tmp_path / "renamed.npy", _images())
    (tmp_path / "renamed.npy").rename(tmp_path / "renamed.npz")
    with pytest.raises(GigatokError, match=r"cannot be read as an \.npz"):
        open_set(tmp_path / "renamed.npz")


def test_opening_a_folder_takes_little_more_than_its_images(tmp_path: Path) -> None:
    """50,000 images of 256 px are 10 GB: a second copy, for stacking or hashing, does not fit beside them."""
    images = _images(60, 128)
    path = _save(tmp_path / "set", images, ".png")
    tracemalloc.start()
    try:
        found = open_set(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.images is not None
    assert peak < 1.4 * found.images.nbytes
