"""Codebook usage and perplexity."""

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.codebook import codebook_perplexity, codebook_usage


def test_usage_counts_distinct_codes() -> None:
    assert codebook_usage([[0, 0], [3, 3]], 8) == 0.25
    assert codebook_usage(np.arange(8).astype(np.uint16), 8) == 1.0


def test_perplexity_of_uniform_single_and_skewed_codes() -> None:
    assert codebook_perplexity(np.arange(16), 16) == pytest.approx(16.0)
    assert codebook_perplexity(np.full(100, 5), 16) == pytest.approx(1.0)
    assert codebook_perplexity([0, 0, 0, 1], 4) == pytest.approx(4 / 27**0.25)


def test_codes_outside_the_codebook_are_refused() -> None:
    with pytest.raises(GigatokError, match=r"0\.\.3"):
        codebook_usage([0, 4], 4)
    with pytest.raises(GigatokError, match="at least one"):
        codebook_perplexity([], 4)
