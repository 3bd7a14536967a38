"""What a protocol changes about a metric."""

import numpy as np
import pytest

from gigatok.artifacts import Estimator
from gigatok.evaluation.extractors.base import Features
from gigatok.evaluation.metrics.reference_set import ReferenceSet
from gigatok.evaluation.protocols import find_protocol
from gigatok.evaluation.scoring.feature_reference import FeatureReference, Unavailable
from gigatok.evaluation.scoring.measure import Draws, measure


def _line(*values: float) -> Features:
    return Features(np.asarray(values, dtype=np.float32)[:, None], None, None)


def test_half_precision_distances_of_adm_reach_a_little_further() -> None:
    # The ball around 3 has radius 3: 6.0005 is outside, and inside once rounded to half precision.
    samples = _line(6.0005, 50, 60, 70)
    for name, expected in (("ours", 0.0), ("adm", 0.25)):
        protocol = find_protocol(name)
        reference = FeatureReference.of(_line(0, 1, 2, 3), None, protocol)
        assert measure("precision", samples, reference, protocol).value == expected


def test_clean_fid_takes_subsets_for_the_kernel_distance() -> None:
    random = np.random.default_rng(0)
    real, fake = (Features(random.standard_normal((1200, 3)).astype(np.float32), None, None) for _ in range(2))
    found = {
        name: measure("kid", fake, FeatureReference(ReferenceSet(real.pool)), find_protocol(name), Draws(resamples=0))
        for name in ("ours", "clean-fid")
    }
    subsets = Estimator(kernel_subsets=100, kernel_subset_size=1000, kernel_seed=0)
    assert found["clean-fid"].estimator == subsets
    assert found["ours"].estimator == Estimator(kernel_subsets=0)
    assert found["clean-fid"].value != found["ours"].value
    assert found["clean-fid"].value == pytest.approx(found["ours"].value, abs=0.02)


def test_absences_say_why() -> None:
    reference = FeatureReference.of(_line(0, 1, 2, 3, 4), None, find_protocol("ours"))
    with pytest.raises(Unavailable, match="only inception-2015 has"):
        measure("sfid", _line(1, 2, 3), reference, find_protocol("ours"))
    with pytest.raises(Unavailable, match="has no classes"):
        measure("inception_score", _line(1, 2, 3), reference, find_protocol("ours"))
