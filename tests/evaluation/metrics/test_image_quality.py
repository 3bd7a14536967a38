"""PSNR and SSIM: closed forms and values of scikit-image 0.26 on fixed images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.config import GigatokError
from gigatok.evaluation.metrics import image_quality
from gigatok.evaluation.metrics.image_quality import SsimKind, psnr, ssim


def _images() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    first = random.integers(0, 256, (2, 16, 20, 3), dtype=np.uint8)
    second = np.clip(first.astype(int) + random.integers(-40, 41, first.shape), 0, 255).astype(np.uint8)
    return first, second


def test_psnr_of_a_known_error() -> None:
    black = np.zeros((3, 4, 4, 3), dtype=np.uint8)
    values = psnr(black, np.stack([black[0] + 255, black[1] + 51, black[2]]))
    np.testing.assert_allclose(values[:2], [0.0, 20 * np.log10(5)], atol=1e-12)
    smallest = black[2].copy()
    smallest[0, 0, 0] = 1
    assert values[2] == pytest.approx(10 * np.log10(255**2 * 48))
    assert values[2] == pytest.approx(psnr(black[:1], smallest[None])[0])


def test_psnr_equals_scikit_image() -> None:
    np.testing.assert_allclose(psnr(*_images()), [21.231798197973163, 21.193424228504533], rtol=1e-12)


def test_floats_are_taken_in_0_to_1() -> None:
    first, second = _images()
    np.testing.assert_allclose(psnr(first / 255, second), psnr(first, second), rtol=1e-12)


def test_ssim_equals_scikit_image_in_both_kinds() -> None:
    np.testing.assert_allclose(ssim(*_images()), [0.9482011408188754, 0.9537556619851967], rtol=1e-10)
    np.testing.assert_allclose(
        ssim(*_images(), kind="gigatok-release"), [0.9529594898637784, 0.9565122694764653], rtol=1e-10
    )


def test_more_images_than_a_block() -> None:
    first = np.random.default_rng(0).integers(0, 256, (130, 11, 11, 3), dtype=np.uint8)
    values = ssim(first, 255 - first)
    assert values.shape == psnr(first, 255 - first).shape == (130,)
    np.testing.assert_allclose(values[-1:], ssim(first[-1:], 255 - first[-1:]))
    np.testing.assert_allclose(ssim(first, first), 1.0)


def ssim_by_windows(a: np.ndarray, b: np.ndarray, kind: SsimKind) -> float:
    """Of one image in 0..1, window by window, with the weights of all its pixels."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2)) if kind == "standard" else np.ones(7)
    weights = np.outer(line, line) / line.sum() ** 2
    size, span = len(line), 1.0 if kind == "standard" else 2.0
    correction = 1.0 if kind == "standard" else size**2 / (size**2 - 1)
    values = []
    for row in range(a.shape[0] - size + 1):
        for column in range(a.shape[1] - size + 1):
            for channel in range(3):
                x, y = (image[row : row + size, column : column + size, channel] for image in (a, b))
                mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
                spread_x, spread_y = (correction * (weights * (v - (weights * v).sum()) ** 2).sum() for v in (x, y))
                both = correction * (weights * (x - mean_x) * (y - mean_y)).sum()
                c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
                above = (2 * mean_x * mean_y + c1) * (2 * both + c2)
                values.append(above / ((mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2)))
    return float(np.mean(values))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    count=st.integers(1, 4),
    height=st.integers(11, 17),
    width=st.integers(11, 17),
    kind=st.sampled_from(["standard", "gigatok-release"]),
    block=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_ssim_by_rows_and_columns_is_that_of_whole_windows(
    count: int, height: int, width: int, kind: SsimKind, block: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    first = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    second = np.clip(first.astype(int) + random.integers(-60, 61, first.shape), 0, 255).astype(np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_quality, "_BLOCK", block)
        found = ssim(first, second, kind)
    expected = [ssim_by_windows(a, b, kind) for a, b in zip(first / 255, second / 255, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_wrong_shapes_are_refused() -> None:
    first, second = _images()
    with pytest.raises(GigatokError, match="expected \\(n, H, W, 3\\)"):
        psnr(first, second[:1])
    with pytest.raises(GigatokError, match="smaller than SSIM's 11x11"):
        ssim(first[:, :8], second[:, :8])
