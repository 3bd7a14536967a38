"""Linear probes: separable classes, chance, agreement with a plain optimizer, repeatability."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gigatok.config import GigatokError
from gigatok.evaluation.probes.linear import ProbeSpec, _logistic_regression, linear_probe


def _blobs(distance: float, per_class: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    centres = distance * np.eye(classes, 5)
    labels = np.tile(np.arange(classes), per_class)
    return centres[labels] + random.standard_normal((len(labels), 5)), labels


@pytest.mark.parametrize("kind", ["lbfgs", "sgd"])
def test_separable_classes_are_told_apart(kind: str) -> None:
    x, y = _blobs(distance=8.0)
    # LARS moves by a share of the weights a step: few steps need a higher rate than ImageNet's 90 epochs.
    spec = ProbeSpec.model_validate({"kind": kind, "batch_size": 30, "base_learning_rate": 50})
    assert linear_probe(x[:90], y[:90], x[90:], y[90:], spec) > 0.97


@pytest.mark.parametrize("kind", ["lbfgs", "sgd"])
def test_features_without_information_stay_at_chance(kind: str) -> None:
    x, y = _blobs(distance=0.0, per_class=200)
    spec = ProbeSpec.model_validate({"kind": kind, "batch_size": 64, "epochs": 20, "warmup_epochs": 2})
    assert linear_probe(x[:300], y[:300], x[300:], y[300:], spec) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize("kind", ["lbfgs", "sgd"])
def test_a_second_run_is_equal(kind: str) -> None:
    x, y = _blobs(distance=1.5)
    spec = ProbeSpec.model_validate({"kind": kind, "batch_size": 30})
    accuracies = {linear_probe(x[:90], y[:90], x[90:], y[90:], spec) for _ in range(2)}
    assert len(accuracies) == 1


def test_scale_and_constant_features_do_not_matter() -> None:
    x, y = _blobs(distance=2.0)
    scaled = np.concatenate([x * [1, 1e3, 1e-3, 5, 7] + 4, np.ones((len(x), 1))], axis=1)
    plain = linear_probe(x[:90], y[:90], x[90:], y[90:])
    assert linear_probe(scaled[:90], y[:90], scaled[90:], y[90:]) == plain


def test_logistic_regression_is_at_the_minimum() -> None:
    x, y = _blobs(distance=1.0)
    spec = ProbeSpec(l2=0.01)
    weights, bias = (torch.from_numpy(part).requires_grad_() for part in _logistic_regression(x, y, spec))
    logits = torch.from_numpy(x) @ weights + bias
    loss = F.cross_entropy(logits, torch.from_numpy(y)) + 0.005 * weights.square().sum()
    loss.backward()
    assert weights.grad is not None
    assert bias.grad is not None
    assert weights.grad.abs().max() < 1e-4
    assert bias.grad.abs().max() < 1e-4


def test_a_stronger_ridge_gives_smaller_weights() -> None:
    x, y = _blobs(distance=2.0)
    norms = [np.linalg.norm(_logistic_regression(x, y, ProbeSpec(l2=l2))[0]) for l2 in (1e-4, 1e-2, 1.0)]
    assert norms[0] > norms[1] > norms[2]


def test_a_class_missing_in_training_is_never_predicted_and_counts_as_wrong() -> None:
    x, y = _blobs(distance=8.0)
    seen = y < 2
    accuracy = linear_probe(x[seen], y[seen], x, y)
    assert accuracy == pytest.approx(2 / 3, abs=0.02)


def test_the_recipe_is_described_and_checked() -> None:
    assert ProbeSpec(features="layer 3, mean").describe().startswith("layer 3, mean; standardised, L-BFGS")
    assert "LARS, 90 epochs (10 warm-up), batch at most 8192" in ProbeSpec(kind="sgd").describe()
    with pytest.raises(ValueError, match="warmup_epochs 90 must be below"):
        ProbeSpec(warmup_epochs=90)
    with pytest.raises(GigatokError, match="expected \\(n, d\\)"):
        linear_probe(np.zeros((4, 2)), np.zeros(3), np.zeros((4, 2)), np.zeros(4))


def test_a_probe_that_did_not_converge_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 5)), random.integers(3, size=60)
    linear_probe(x, y, x, y)
    assert capsys.readouterr().err == ""
    linear_probe(x, y, x, y, ProbeSpec(max_iterations=1))
    assert "stopped before it converged" in capsys.readouterr().err
