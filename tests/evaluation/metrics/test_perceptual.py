"""Perceptual distances are taken image by image on [-1, 1]."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.perceptual import perceptual_distances


class _MeanGap(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        assert a.min() >= -1
        assert a.max() <= 1
        return (a - b).abs().mean(dim=(1, 2, 3))


def test_one_value_an_image_in_order_over_batches() -> None:
    black = np.zeros((5, 4, 4, 3), dtype=np.uint8)
    grey = black + (np.arange(5, dtype=np.uint8) * 51)[:, None, None, None]
    values = perceptual_distances(_MeanGap(), black, grey, batch_size=2)
    np.testing.assert_allclose(values, np.arange(5) * 0.4, atol=1e-6)
    assert values.dtype == np.float64
    assert torch.is_grad_enabled()


def test_unequal_images_are_refused() -> None:
    with pytest.raises(GigatokError, match="expected uint8"):
        perceptual_distances(_MeanGap(), np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8))
