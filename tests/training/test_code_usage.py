"""Usage, perplexity and dead codes of a stream of indices, against counting them."""

from __future__ import annotations

import math

import pytest
import torch

from gigatok.training.code_usage import WINDOW, RecentCodes


def test_even_use_of_all_codes_is_perplexity_k() -> None:
    codes = RecentCodes(8, window=64)
    codes.add(torch.arange(8).repeat(2, 3))
    assert codes.usage() == 1.0
    assert codes.perplexity() == pytest.approx(8)


def test_one_code_is_perplexity_one() -> None:
    codes = RecentCodes(8, window=64)
    codes.add(torch.full((3, 4), 5))
    assert codes.usage() == 1 / 8
    assert codes.perplexity() == pytest.approx(1)


def test_uneven_use_is_the_exponential_of_the_entropy() -> None:
    codes = RecentCodes(4, window=64)
    codes.add(torch.tensor([0, 0, 0, 2]))
    assert codes.perplexity() == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))


@pytest.mark.parametrize("batch", [1, 3, 7, 10, 25])
def test_only_the_window_counts_whatever_the_batches(batch: int) -> None:
    stream = torch.randint(0, 6, (50,), generator=torch.Generator().manual_seed(batch))
    codes = RecentCodes(6, window=10)
    for part in torch.split(stream, batch):
        codes.add(part)
    torch.testing.assert_close(codes.counts(), torch.bincount(stream[-10:], minlength=6))


def test_perplexity_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="perplexity of no indices"):
        RecentCodes(4).perplexity()
    assert RecentCodes(4).usage() == 0


def test_used_codes_are_those_since_the_last_question_beyond_the_window_too() -> None:
    codes = RecentCodes(6, window=2)
    codes.add(torch.tensor([[1, 3], [4, 4]]))
    assert codes.take_used().tolist() == [False, True, False, True, True, False]
    assert not codes.take_used().any()
    codes.add(torch.tensor([0]))
    assert codes.take_used().tolist() == [True, False, False, False, False, False]


def test_a_restored_stream_goes_on() -> None:
    stream = torch.randint(0, 6, (40,), generator=torch.Generator().manual_seed(0))
    whole, first, second = (RecentCodes(6, window=16) for _ in range(3))
    whole.add(stream[:25])
    first.add(stream[:25])
    second.load_state_dict(first.state_dict())
    first.add(torch.zeros(9, dtype=torch.int64))  # a stored state is a copy
    for codes in (whole, second):
        codes.add(stream[25:])
    assert torch.equal(whole.counts(), second.counts())
    assert torch.equal(whole.take_used(), second.take_used())


def test_the_window_is_the_official_one() -> None:
    assert WINDOW == 65_536
