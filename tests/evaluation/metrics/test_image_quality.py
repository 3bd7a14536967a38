"""PSNR and SSIM: closed forms and values of scikit-image 0.26 on fixed images."""

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.image_quality import psnr, ssim


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


def test_wrong_shapes_are_refused() -> None:
    first, second = _images()
    with pytest.raises(GigatokError, match="expected \\(n, H, W, 3\\)"):
        psnr(first, second[:1])
    with pytest.raises(GigatokError, match="smaller than SSIM's 11x11"):
        ssim(first[:, :8], second[:, :8])
