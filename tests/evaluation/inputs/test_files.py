"""Folders, arrays and ADM's files: round trips, lossy files, sizes, damage."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gigatok.config import GigatokError
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
    (tmp_path / "empty").mkdir()
    for name, reason in {
        "torn.npz": "cannot be read",
        "other.npz": "expected arr_0, or mu and sigma",
        "floats.npz": "expected uint8",
        "pickle.npz": "cannot be read",
        "empty": "holds no .png",
        "none.npz": "does not exist",
        "none": "neither a folder nor an .npz",
    }.items():
        with pytest.raises(GigatokError, match=reason):
            open_set(tmp_path / name)
