"""Statistics of indices: cases by hand, limits, and what a perturbation may change."""

from __future__ import annotations

import numpy as np
import pytest

from gigatok.config import GigatokError
from gigatok.evaluation.metrics.token_statistics import effective_codebook_size, perturb_tokens, prefix_statistics

RANDOM = np.random.default_rng(4)


def test_entropies_by_hand() -> None:
    # first token: 2 of 2 kinds; second: decided after 0, open after 1; third: decided everywhere
    found = prefix_statistics([[0, 5, 1], [0, 5, 2], [1, 3, 0], [1, 4, 0]])
    log2 = np.log(2)
    assert found.conditional_entropy == pytest.approx([log2, log2 / 2, log2 / 2])
    assert found.unique_length.tolist() == [3, 3, 2, 2]
    assert found.determined_share == pytest.approx(1 - 2.5 / 3)


def test_entropies_add_up_to_that_of_whole_images() -> None:
    tokens = RANDOM.integers(0, 50, (400, 12))
    assert prefix_statistics(tokens).conditional_entropy.sum() == pytest.approx(np.log(400))
    twice = np.repeat(tokens, 2, axis=0)
    assert prefix_statistics(twice).conditional_entropy.sum() == pytest.approx(np.log(400))
    assert prefix_statistics(twice).determined_share == 0.0  # the twin never differs


def test_a_code_that_does_not_know_its_image_is_never_determined() -> None:
    constant = prefix_statistics(np.zeros((10, 4), dtype=int))
    assert constant.conditional_entropy.tolist() == [0, 0, 0, 0]
    assert constant.determined_share == 0.0


def test_many_codes_fall_off_the_cliff_early() -> None:
    few = prefix_statistics(RANDOM.integers(0, 4, (500, 16))).determined_share
    many = prefix_statistics(RANDOM.integers(0, 4096, (500, 16))).determined_share
    assert few < 0.75 < many


def test_alike_codes_are_all_effective() -> None:
    assert effective_codebook_size(RANDOM.integers(0, 32, 200_000), 64) == pytest.approx(32, rel=0.01)
    assert effective_codebook_size(np.zeros(50, dtype=int), 64) == 1.0
    # shares 1/2, 1/4, 1/4: 1 / (1/4 + 1/16 + 1/16)
    assert effective_codebook_size(np.repeat([0, 1, 2], [20_000, 10_000, 10_000]), 8) == pytest.approx(8 / 3, rel=1e-3)


def test_effective_codes_of_few_tokens_are_unbiased() -> None:
    chances = [1 / effective_codebook_size(RANDOM.integers(0, 10, 40), 10) for _ in range(400)]
    assert np.mean(chances) == pytest.approx(0.1, rel=0.05)


def test_tokens_without_a_pair_have_no_effective_size() -> None:
    with pytest.raises(GigatokError, match="occurs twice"):
        effective_codebook_size([1, 2, 3], 8)
    with pytest.raises(GigatokError, match=r"0\.\.7"):
        effective_codebook_size([1, 8], 8)


def test_a_perturbation_replaces_the_stated_share_by_near_codes() -> None:
    codes = np.arange(20.0)[:, None]  # on a line: the nearest are the numbers beside
    tokens = RANDOM.integers(0, 20, (300, 16))
    found = perturb_tokens(tokens, codes, share=0.25, neighbours=2)
    changed = found != tokens
    assert (changed.sum(axis=1) == 4).all()
    assert np.abs(found - tokens)[changed].max() <= 2  # at an end both neighbours lie on one side
    inner = changed & (tokens > 0) & (tokens < 19)
    assert set(np.abs(found - tokens)[inner]) == {1}
    assert changed.any(axis=0).all()


def test_perturbations_repeat_by_seed_and_replace_at_least_one_token() -> None:
    codes, tokens = RANDOM.normal(size=(32, 4)), RANDOM.integers(0, 32, (20, 4))
    first = perturb_tokens(tokens, codes, share=0.01, neighbours=5, seed=1)
    assert (first == perturb_tokens(tokens, codes, share=0.01, neighbours=5, seed=1)).all()
    assert (first != perturb_tokens(tokens, codes, share=0.01, neighbours=5, seed=2)).any()
    assert ((first != tokens).sum(axis=1) == 1).all()


@pytest.mark.parametrize(("share", "neighbours"), [(0.0, 1), (1.5, 1), (0.5, 0), (0.5, 32)])
def test_settings_out_of_range_are_refused(share: float, neighbours: int) -> None:
    with pytest.raises(GigatokError, match="neighbours < 32"):
        perturb_tokens(np.zeros((2, 4), dtype=int), RANDOM.normal(size=(32, 4)), share=share, neighbours=neighbours)
