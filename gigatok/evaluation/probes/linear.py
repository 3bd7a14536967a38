"""Linear probes: how well a linear classifier reads classes from frozen features.

Published probes differ in layer, pooling and optimizer, and cannot be compared across them; so the whole
``ProbeSpec`` travels with the score.
"""

from __future__ import annotations

import sys
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from gigatok.config import GigatokError, Section
from gigatok.evaluation.probes.lars import lars_accuracy

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class ProbeSpec(Section):
    """Everything that decides a probe's accuracy, besides the features' values."""

    kind: Literal["lbfgs", "sgd"] = "lbfgs"
    """``lbfgs``: deterministic multinomial logistic regression; ``sgd``: the paper's LARS recipe."""
    features: str = "unspecified"
    """Layer, before or after quantisation, and pooling, in words."""
    l2: float = Field(default=1e-3, ge=0)
    """Ridge on the weights of ``lbfgs`` (standardised features, mean loss); the bias is free."""
    max_iterations: int = Field(default=500, gt=0)
    epochs: int = Field(default=90, gt=0)
    """This and the rest: ``sgd`` only (SPEC section 7). Made for ImageNet: with few samples LARS hardly moves."""
    warmup_epochs: int = Field(default=10, ge=0)
    batch_size: int = Field(default=8192, gt=0)
    """At most all training samples."""
    base_learning_rate: float = Field(default=0.1, gt=0)
    """For a batch of 256; scaled linearly with the batch."""
    seed: int = 0

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs {self.warmup_epochs} must be below epochs {self.epochs}")
        return self

    def describe(self) -> str:
        """One line for a score's protocol; only what applies to this kind."""
        if self.kind == "lbfgs":
            return (
                f"{self.features}; standardised, L-BFGS multinomial logistic regression, l2 {self.l2:g}, "
                f"at most {self.max_iterations} iterations"
            )
        return (
            f"{self.features}; batch norm, LARS, {self.epochs} epochs ({self.warmup_epochs} warm-up), "
            f"batch at most {self.batch_size}, learning rate {self.base_learning_rate:g} x batch/256, "
            f"seed {self.seed}"
        )


def linear_probe(
    train_x: npt.ArrayLike,
    train_y: npt.ArrayLike,
    test_x: npt.ArrayLike,
    test_y: npt.ArrayLike,
    spec: ProbeSpec | None = None,
) -> float:
    """Accuracy (0..1) on the test features of a linear classifier trained on the training ones; see ``probe_hits``."""
    found = probe_hits(train_x, train_y, test_x, test_y, spec)
    return found if isinstance(found, float) else float(found.mean())


def probe_hits(
    train_x: npt.ArrayLike,
    train_y: npt.ArrayLike,
    test_x: npt.ArrayLike,
    test_y: npt.ArrayLike,
    spec: ProbeSpec | None = None,
) -> npt.NDArray[np.bool_] | float:
    """Which test features a linear classifier trained on the training features gets right; of ``sgd`` only how many.

    Args:
        train_x, test_x: (n, d), (m, d) features
        train_y, test_y: (n,), (m,) classes, numbered from 0
        spec: ``None``: the defaults of ``ProbeSpec``

    Returns:
        (m,) hits; the accuracy (0..1) of ``sgd``.
    """
    spec = spec if spec is not None else ProbeSpec()
    x, z = np.asarray(train_x, dtype=np.float64), np.asarray(test_x, dtype=np.float64)
    y, t = np.asarray(train_y, dtype=np.int64), np.asarray(test_y, dtype=np.int64)
    if x.ndim != 2 or z.ndim != 2 or x.shape[1] != z.shape[1] or y.shape != x.shape[:1] or t.shape != z.shape[:1]:
        raise GigatokError(
            f"probe features {x.shape}, {z.shape} with classes {y.shape}, {t.shape}: "
            "expected (n, d), (m, d) with (n,), (m,)"
        )
    if not len(x) or not len(z) or min(y.min(), t.min()) < 0:
        raise GigatokError("a probe needs at least one training and one test sample, with classes from 0")
    if spec.kind == "sgd":
        return lars_accuracy(
            (x, y),
            (z, t),
            epochs=spec.epochs,
            warmup_epochs=spec.warmup_epochs,
            batch_size=spec.batch_size,
            base_learning_rate=spec.base_learning_rate,
            seed=spec.seed,
        )
    weights, bias = _logistic_regression(_standardised(x, x), y, spec)
    return np.asarray((_standardised(z, x) @ weights + bias).argmax(axis=1) == t)


def _standardised(values: Floats, train: Floats) -> Floats:
    """``values`` on the scale that gives ``train`` mean 0 and variance 1; constant features become 0."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    return np.where(std > 0, (values - mean) / np.where(std > 0, std, 1.0), 0.0)


def _logistic_regression(x: Floats, y: Labels, spec: ProbeSpec) -> tuple[Floats, Floats]:
    """Weights (d, classes) and bias (classes,) that minimise mean cross-entropy + l2/2 |weights|^2."""
    from scipy.optimize import minimize  # here: a quarter of a second, and most tokenizers are not probed

    n, d = x.shape
    classes = int(y.max()) + 1
    targets = np.zeros((n, classes))
    targets[np.arange(n), y] = 1.0

    def objective(parameters: Floats) -> tuple[float, Floats]:
        weights, bias = parameters[: d * classes].reshape(d, classes), parameters[d * classes :]
        logits = x @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        log_total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        loss = float(-((logits - log_total) * targets).sum() / n + 0.5 * spec.l2 * (weights**2).sum())
        error = (np.exp(logits - log_total) - targets) / n
        return loss, np.concatenate([(x.T @ error + spec.l2 * weights).ravel(), error.sum(axis=0)])

    # Convex, from zero: one answer, whatever the machine's random state.
    found = minimize(
        objective,
        np.zeros((d + 1) * classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": spec.max_iterations, "gtol": 1e-6},
    )
    if not found.success:
        print(
            f"warning: the linear probe stopped before it converged ({found.message}, max_iterations "
            f"{spec.max_iterations}): its accuracy may still rise",
            file=sys.stderr,
        )
    solution = np.asarray(found.x, dtype=np.float64)
    return solution[: d * classes].reshape(d, classes), solution[d * classes :]
