"""Semantic regularization against the official implementation and closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gigatok.losses import semantic_loss

REFERENCE = Path(__file__).parents[1] / "reference" / "losses.npz"


def test_equals_the_official_value():
    with np.load(REFERENCE) as stored:
        a, b = torch.from_numpy(stored["semantic_a"]), torch.from_numpy(stored["semantic_b"])
        expected = float(stored["semantic_loss"])
    assert semantic_loss(a, b).item() == pytest.approx(expected, abs=1e-6)


def test_is_minus_one_for_equal_directions_and_blind_to_length():
    features = torch.randn(2, 5, 7)
    lengths = torch.rand(2, 5, 1) + 0.1
    assert semantic_loss(features, features * lengths).item() == pytest.approx(-1, abs=1e-6)
    assert semantic_loss(features, -features).item() == pytest.approx(1, abs=1e-6)


def test_gradient_turns_features_towards_targets():
    features = torch.randn(1, 3, 4, requires_grad=True)
    targets = torch.randn(1, 3, 4)
    loss = semantic_loss(features, targets)
    loss.backward()
    better = semantic_loss(features.detach() - 0.1 * features.grad, targets)
    assert better < loss


def test_refuses_shapes_that_would_broadcast():
    with pytest.raises(ValueError, match="differ in shape"):
        semantic_loss(torch.randn(2, 4, 8), torch.randn(2, 1, 8))
