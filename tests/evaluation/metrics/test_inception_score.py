"""The inception score: one-hot, uniform and mixed classes, torch-fidelity's number."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.inception_score import inception_score


def test_one_hot_classes_in_equal_shares_score_their_number() -> None:
    mean, std = inception_score(np.tile(np.eye(5), (8, 1)), splits=4)
    assert mean == pytest.approx(5.0)
    assert std == pytest.approx(0.0, abs=1e-12)


def test_uniform_and_constant_predictions_score_1() -> None:
    assert inception_score(np.full((20, 7), 1 / 7), splits=2).mean == pytest.approx(1.0)
    assert inception_score(np.tile([[0.7, 0.3]], (10, 1))).mean == pytest.approx(1.0)


def test_splits_are_taken_in_order() -> None:
    sorted_by_class = np.repeat(np.eye(2), 10, axis=0)
    assert inception_score(sorted_by_class, splits=2).mean == pytest.approx(1.0)
    assert inception_score(sorted_by_class, splits=1).mean == pytest.approx(2.0)


def test_a_known_mixture() -> None:
    half = inception_score([[0.75, 0.25], [0.25, 0.75]], splits=1).mean
    assert half == pytest.approx(np.exp(0.75 * np.log(1.5) + 0.25 * np.log(0.5)))


def test_equals_torch_fidelity() -> None:
    logits = torch.randn(103, 12, generator=torch.Generator().manual_seed(0)).double() * 3
    theirs = isc_features_to_metric(logits, splits=10, shuffle=False)
    ours = inception_score(logits.softmax(dim=1).numpy(), splits=10)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-10)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-9)


def test_logits_and_too_many_splits_are_refused() -> None:
    with pytest.raises(GigatokError, match="softmax"):
        inception_score([[3.0, -1.0], [0.5, 2.0]], splits=1)
    with pytest.raises(GigatokError, match="10 splits"):
        inception_score(np.full((4, 2), 0.5))
