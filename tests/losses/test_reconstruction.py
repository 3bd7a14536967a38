"""Pixel and feature losses."""

import pytest
import torch

from gigatok.losses import feature_loss, l1_loss, l2_loss


def test_closed_forms():
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    assert l2_loss(a, b).item() == pytest.approx(0.25)
    assert l1_loss(a, b).item() == pytest.approx(0.5)
    assert feature_loss(a, b).item() == pytest.approx(0.25)


def test_the_encoder_map_is_a_target():
    decoder, encoder = (torch.randn(1, 4, 2, 2, requires_grad=True) for _ in range(2))
    feature_loss(decoder, encoder).backward()
    assert encoder.grad is None
    assert decoder.grad.abs().sum() > 0


@pytest.mark.parametrize("loss", [l1_loss, l2_loss, feature_loss])
def test_refuses_shapes_that_would_broadcast(loss):
    with pytest.raises(ValueError, match="differ"):
        loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4))
