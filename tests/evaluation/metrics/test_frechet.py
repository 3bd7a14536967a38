"""The Fréchet distance: closed forms, pytorch-fid's and torch-fidelity's numbers, singular covariances."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_fid import fid_score
from torch_fidelity.metric_fid import fid_statistics_to_metric

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.frechet import FewSamplesWarning, frechet_distance, gaussian
from gigatok.evaluation.metrics.frechet_limit import nested_distances, paired_distance
from gigatok.evaluation.metrics.reference_set import ReferenceSet


def _covariance(dims: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((3 * dims, dims))
    return np.cov(rows, rowvar=False)


def test_equal_covariances_leave_the_squared_distance_of_means() -> None:
    covariance = _covariance(8, 0)
    mean = np.arange(8.0)
    assert frechet_distance(mean, covariance, mean + 2.0, covariance) == pytest.approx(32.0, rel=1e-9)
    assert frechet_distance(mean, covariance, mean, covariance) == pytest.approx(0.0, abs=1e-9)


def test_commuting_covariances_leave_the_squared_distance_of_deviations() -> None:
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((6, 6)))[0]
    first, second = np.array([1.0, 2, 3, 4, 5, 6]), np.array([6.0, 1, 4, 2, 5, 3])
    distance = frechet_distance(
        np.zeros(6), rotation * first**2 @ rotation.T, np.ones(6), rotation * second**2 @ rotation.T
    )
    assert distance == pytest.approx(6.0 + ((first - second) ** 2).sum(), rel=1e-10)


def test_one_dimension_takes_scalars_as_numpy_makes_them() -> None:
    assert frechet_distance(1.0, 4.0, 3.0, 9.0) == pytest.approx(4.0 + 1.0)


@pytest.mark.parametrize("dims", [4, 64, 192])
def test_equals_pytorch_fid(dims: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = scipy.linalg.sqrtm

    def root(matrix: np.ndarray, disp: bool = True) -> object:
        # SciPy 1.18 took away the argument that pytorch-fid passes.
        return plain(matrix) if disp else (plain(matrix), 0.0)

    monkeypatch.setattr(fid_score.linalg, "sqrtm", root)
    first, second = _covariance(dims, 2), 1.7 * _covariance(dims, 3)
    means = np.random.default_rng(4).standard_normal((2, dims))
    theirs = fid_score.calculate_frechet_distance(means[0], first, means[1], second)
    assert frechet_distance(means[0], first, means[1], second) == pytest.approx(theirs, rel=1e-6)


def test_equals_torch_fidelity() -> None:
    first, second = _covariance(96, 5), _covariance(96, 6)
    means = np.random.default_rng(7).standard_normal((2, 96))
    stats = [{"mu": mean, "sigma": sigma} for mean, sigma in zip(means, (first, second), strict=True)]
    theirs = fid_statistics_to_metric(*stats, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(means[0], first, means[1], second) == pytest.approx(theirs, rel=1e-6)


def by_matrix_root(x: np.ndarray, y: np.ndarray) -> float:
    """The formula as it is printed, with NumPy's moments and SciPy's root of the product of covariances."""
    first, second = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (x, y))
    # A root of a singular product may not exist; a little on the diagonal moves the trace by less than is compared.
    spread = 1e-14 * max(np.trace(first), np.trace(second)) * np.eye(len(first))
    root = scipy.linalg.sqrtm((first + spread) @ (second + spread))
    shift = x.mean(axis=0) - y.mean(axis=0)
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * np.trace(root).real)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    real=st.integers(2, 30),
    fake=st.integers(2, 30),
    dims=st.integers(1, 12),
    kind=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 1000),
)
def test_every_way_is_the_matrix_root_for_any_counts_and_dimensions(
    real: int, fake: int, dims: int, kind: type[np.floating], seed: int
) -> None:
    """Of full rank or not: the plain function, a real set's factor, the counts on the way to it, and pairs."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dims, dims))
    x = (random.normal(size=(real, dims)) @ mixing).astype(kind).astype(np.float64)
    y = (random.gamma(2.0, size=(fake, dims)) @ mixing).astype(kind).astype(np.float64)
    size = float(np.trace(np.atleast_2d(np.cov(x, rowvar=False))) + np.trace(np.atleast_2d(np.cov(y, rowvar=False))))
    close = {"rel": 1e-5, "abs": 1e-5 * size}
    known, counts = ReferenceSet(x), sorted({2, max(2, fake // 2), fake})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ours of few samples, SciPy's of singular products
        assert frechet_distance(*gaussian(x), *gaussian(y)) == pytest.approx(by_matrix_root(x, y), **close)
        assert known.frechet_value(y) == pytest.approx(by_matrix_root(x, y), **close)
        nested = nested_distances(y - known.moments.mean, known._factor, known.moments.covariance, counts)
        assert nested == pytest.approx([by_matrix_root(x, y[:count]) for count in counts], **close)
        both = min(real, fake)
        assert paired_distance(x[:both], y[:both]) == pytest.approx(by_matrix_root(x[:both], y[:both]), **close)


def test_is_symmetric_and_not_affected_by_large_scales() -> None:
    first, second = 1e12 * _covariance(16, 8), 1e12 * _covariance(16, 9)
    forth = frechet_distance(np.zeros(16), first, np.ones(16), second)
    back = frechet_distance(np.ones(16), second, np.zeros(16), first)
    small = frechet_distance(np.zeros(16), first / 1e12, np.zeros(16), second / 1e12)
    assert forth == pytest.approx(back, rel=1e-9)
    assert forth == pytest.approx(1e12 * small, rel=1e-6)


def test_fewer_samples_than_dimensions_warns_and_still_gives_the_number() -> None:
    random = np.random.default_rng(10)
    few, others = random.standard_normal((10, 32)), random.standard_normal((12, 32)) + 1.0
    with pytest.warns(FewSamplesWarning, match=r"first and the second set is singular in 32 dimensions"):
        distance = frechet_distance(*gaussian(few), *gaussian(others))
    # The nuclear norm of the product of the centred samples is the trace of the root, with no root taken.
    a, b = few - few.mean(0), others - others.mean(0)
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum() / np.sqrt(9 * 11)
    expected = ((few.mean(0) - others.mean(0)) ** 2).sum() + (a**2).sum() / 9 + (b**2).sum() / 11 - 2 * cross
    assert distance == pytest.approx(expected, rel=1e-6)


def test_one_singular_set_warns_whichever_side_it_is_on() -> None:
    random = np.random.default_rng(11)
    few, many = random.standard_normal((5, 8)), random.standard_normal((50, 8))
    with pytest.warns(FewSamplesWarning, match="first set"):
        forth = frechet_distance(*gaussian(few), *gaussian(many))
    with pytest.warns(FewSamplesWarning, match="second set"):
        back = frechet_distance(*gaussian(many), *gaussian(few))
    assert forth == pytest.approx(back, rel=1e-9)


def test_a_set_of_equal_images_has_no_spread() -> None:
    with pytest.warns(FewSamplesWarning):
        distance = frechet_distance(*gaussian(np.ones((4, 3))), *gaussian(np.zeros((4, 3))))
    assert distance == pytest.approx(3.0)


def test_full_rank_is_not_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        few, others = np.random.default_rng(12).standard_normal((2, 40, 8))
        assert frechet_distance(*gaussian(few), *gaussian(others)) > 0


def test_gaussian_is_numpys_mean_and_covariance() -> None:
    rows = torch.rand(50, 7).numpy()
    mean, covariance = gaussian(rows)
    np.testing.assert_allclose(mean, rows.astype(np.float64).mean(0))
    np.testing.assert_allclose(covariance, np.cov(rows.astype(np.float64), rowvar=False), rtol=1e-10)
    assert covariance.dtype == np.float64


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(GigatokError, match="one extractor"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
    with pytest.raises(GigatokError, match="NaN"):
        frechet_distance(np.zeros(2), np.eye(2), np.array([0, np.nan]), np.eye(2))
    with pytest.raises(GigatokError, match="expected \\(d,\\)"):
        frechet_distance(np.zeros(2), np.eye(3), np.zeros(2), np.eye(2))
    with pytest.raises(GigatokError, match="at least 2 samples"):
        gaussian(np.zeros((1, 4)))
