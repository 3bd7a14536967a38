"""The k-means floor: exact where it can be, repeatable, falling error, sensible on structured images."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation import patch_kmeans
from gigatok.evaluation.metrics.image_quality import psnr
from gigatok.evaluation.patch_kmeans import PatchKMeans


def _images(count: int = 40, size: int = 16) -> np.ndarray:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    waves = [np.sin(a * x / 5 + b * y / 7 + c) for a, b, c in random.uniform(-2, 2, (count * 3, 3))]
    return (np.stack(waves).reshape(count, 3, size, size).transpose(0, 2, 3, 1) * 120 + 128).astype(np.uint8)


def test_patches_go_in_and_out_unchanged_when_each_has_a_code() -> None:
    images = _images(4)
    codec = PatchKMeans(image_size=16, num_tokens=16, codebook_size=64).fit(images)
    np.testing.assert_array_equal(codec.reconstruct(images), images)
    assert codec.encode(images).shape == (4, 16)


def test_tokens_run_row_by_row() -> None:
    image = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    image[0, 0, 3] = 200
    codec = PatchKMeans(image_size=4, num_tokens=16, codebook_size=2).fit(image)
    indices = codec.encode(image)[0]
    assert np.flatnonzero(indices == indices[3]).tolist() == [3]


def test_an_odd_power_of_two_splits_columns_first() -> None:
    assert PatchKMeans(image_size=16, num_tokens=32, codebook_size=4).grid == (4, 8)


def test_more_iterations_and_more_codes_reconstruct_better() -> None:
    images = _images()

    def quality(codes: int, iterations: int) -> float:
        codec = PatchKMeans(image_size=16, num_tokens=16, codebook_size=codes)
        return float(psnr(images, codec.fit(images, iterations=iterations).reconstruct(images)).mean())

    assert quality(32, 1) < quality(32, 10) < quality(128, 10)


def test_a_seed_fixes_the_result() -> None:
    def codebook(seed: int) -> np.ndarray:
        codec = PatchKMeans(image_size=16, num_tokens=16, codebook_size=24)
        fitted = codec.fit(_images(), seed=seed, max_patches=300).codebook
        assert fitted is not None
        return fitted.numpy()

    np.testing.assert_array_equal(codebook(0), codebook(0))
    assert not np.array_equal(codebook(0), codebook(1))


def test_frequent_patches_count_as_often_as_they_occur() -> None:
    images = np.full((11, 4, 4, 3), 10, dtype=np.uint8)
    images[9], images[10] = 100, 30
    codec = PatchKMeans(image_size=4, num_tokens=1, codebook_size=2).fit(images)
    assert codec.codebook is not None
    # 9 images of 10 and one of 30 share a code; their mean is 12, not the 20 of two distinct patches.
    assert sorted(codec.codebook.mean(dim=1).tolist()) == pytest.approx([12.0, 100.0])


def by_lloyd(patches: np.ndarray, codebook: np.ndarray, iterations: int) -> np.ndarray:
    """Means of all patches that are nearest to each code, one patch at a time."""
    for _ in range(iterations):
        nearest = np.array([((patch - codebook) ** 2).sum(axis=1).argmin() for patch in patches])
        assume(len(set(nearest)) == len(codebook))  # what happens to a code without patches is another rule
        codebook = np.stack([patches[nearest == code].mean(axis=0) for code in range(len(codebook))])
    return codebook


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 6),
    side=st.sampled_from([4, 8]),
    tokens=st.sampled_from([1, 2, 4, 16]),
    codes=st.integers(1, 4),
    copies=st.integers(1, 3),
    block=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_merged_patches_and_blocks_are_lloyds_algorithm(
    count: int, side: int, tokens: int, codes: int, copies: int, block: int, seed: int
) -> None:
    """Some pictures occur several times."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    images = images[random.integers(0, count, count * copies)]
    codec = PatchKMeans(image_size=side, num_tokens=tokens, codebook_size=codes)
    patches = codec._patches(images).reshape(len(images) * tokens, -1).astype(np.float64)
    distinct = np.unique(patches, axis=0)
    assume(len(distinct) >= codes)
    start = codec._start(torch.from_numpy(distinct), torch.Generator().manual_seed(seed)).numpy()
    expected = by_lloyd(patches, start, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(patch_kmeans, "_BLOCK", block)
        codec.fit(images, iterations=3, seed=seed)
        found = codec.encode(images)
    assert codec.codebook is not None
    np.testing.assert_allclose(codec.codebook.numpy(), expected, rtol=1e-4)
    distances = ((patches[:, None] - expected) ** 2).sum(axis=2)
    chosen = np.take_along_axis(distances, found.reshape(-1, 1), axis=1)[:, 0]
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("side", "tokens", "grid"), [(24, 36, (6, 6)), (48, 576, (24, 24)), (16, 16, (4, 4))])
def test_a_square_of_tokens_is_a_square_of_patches(side: int, tokens: int, grid: tuple[int, int]) -> None:
    images = _images(4, side)
    codec = PatchKMeans(image_size=side, num_tokens=tokens, codebook_size=4 * tokens).fit(images)
    assert codec.grid == grid
    np.testing.assert_array_equal(codec.reconstruct(images), images)  # a code for each patch


def test_large_codebooks_see_64_patches_a_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch_kmeans, "_PATCHES", 20)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)  # 320 patches, all different
    for codes, expected in ((2, 128), (4, 256), (16, 320)):
        codec = PatchKMeans(image_size=8, num_tokens=16, codebook_size=codes).fit(images, iterations=1)
        assert codec.fitted_on == expected
    assert codec.describe() == "k-means: 16 tokens an image (4x4 patches), 16 codes of 320 distinct patches"


def test_codebooks_of_a_thousand_codes_see_what_they_saw() -> None:
    assert all(patch_kmeans._PATCHES_A_CODE * codes <= patch_kmeans._PATCHES for codes in (64, 256, 1024))
    assert patch_kmeans._PATCHES == 65_536


def test_what_cannot_be_cut_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a power of two nor a square"):
        PatchKMeans(image_size=16, num_tokens=12, codebook_size=4)
    with pytest.raises(ConfigError, match="does not divide into 6x6"):
        PatchKMeans(image_size=16, num_tokens=36, codebook_size=4)
    with pytest.raises(ConfigError, match="does not divide into 2x4"):
        PatchKMeans(image_size=18, num_tokens=8, codebook_size=4)
    codec = PatchKMeans(image_size=16, num_tokens=16, codebook_size=4)
    with pytest.raises(GigatokError, match="call fit first"):
        codec.encode(_images(1))
    with pytest.raises(GigatokError, match="expected uint8"):
        codec.fit(_images(1).astype(np.float32))
