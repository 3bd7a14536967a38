"""Top-k, top-p and the draw."""

from __future__ import annotations

import formula
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.sampling.filters import draw, filter_logits, number_type

STORED = {name: np.asarray(value) for name, value in formula.outputs("GPT-B").items() if name.startswith("filter_")}
INFINITE = -float("inf")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("filter_topk5", {"top_k": 5}),
        ("filter_topp08", {"top_p": 0.8}),
        ("filter_both", {"top_k": 20, "top_p": 0.9}),
    ],
)
def test_filters_are_exactly_the_official_ones(name: str, settings: dict[str, float]) -> None:
    filtered = filter_logits(torch.from_numpy(STORED["filter_in"]), **settings)  # type: ignore[arg-type]
    assert np.array_equal(filtered.numpy(), STORED[name])


def test_codes_tied_with_the_last_of_top_k_stay() -> None:
    filtered = filter_logits(torch.tensor([[1.0, 3.0, 1.0, 0.0]]), top_k=2)
    assert filtered.tolist() == [[1.0, 3.0, 1.0, INFINITE]]


def test_the_first_code_past_top_p_stays() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    assert (filter_logits(logits, top_p=0.6) > INFINITE).tolist() == [[True, True, False, False]]
    assert (filter_logits(logits, top_p=0.01) > INFINITE).tolist() == [[True, False, False, False]]


def test_nothing_is_filtered_by_default_or_by_more_codes_than_there_are() -> None:
    logits = torch.randn(2, 5)
    assert filter_logits(logits) is logits
    assert torch.equal(filter_logits(logits, top_k=9), logits)


def test_the_input_is_left_alone() -> None:
    logits = torch.randn(2, 5)
    before = logits.clone()
    filter_logits(logits, top_k=2, top_p=0.5)
    assert torch.equal(logits, before)


def test_draws_invert_the_distribution_function() -> None:
    logits = torch.tensor([0.2, 0.0, 0.5, 0.3]).log().expand(6, -1)
    uniform = torch.tensor([0.0, 0.1999, 0.2001, 0.6999, 0.7001, 1 - 2**-53], dtype=torch.float64)
    assert draw(logits, uniform).tolist() == [0, 0, 2, 2, 3, 3]


def test_removed_codes_at_both_ends_are_never_drawn() -> None:
    logits = torch.tensor([INFINITE, 1.0, 2.0, INFINITE]).expand(2, -1)
    assert draw(logits, torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)).tolist() == [1, 2]


def test_frequencies_are_the_softmax() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0])
    uniform = torch.rand(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = draw(logits.expand(40_000, -1), uniform)
    shares = torch.bincount(drawn, minlength=4) / 40_000
    torch.testing.assert_close(shares, torch.softmax(logits, 0), atol=0.01, rtol=0)


def test_rare_codes_among_many_are_not_lost() -> None:
    logits = torch.zeros(1, 16_384)
    uniform = (torch.arange(16_384, dtype=torch.float64) + 0.5) / 16_384
    assert torch.equal(draw(logits.expand(16_384, -1)[:2048], uniform[-2048:]), torch.arange(14_336, 16_384))


@settings(max_examples=60, deadline=None)
@given(
    codes=st.sampled_from([1, 5, 128, 129, 384, 1024]),
    rows=st.integers(1, 5),
    spread=st.sampled_from([0.0, 1.0, 30.0]),
    removed=st.sampled_from([0.0, 0.5, 0.99]),
    seed=st.integers(0, 10_000),
)
def test_draws_are_those_of_a_running_sum_over_all_codes(
    codes: int, rows: int, spread: float, removed: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, codes, generator=generator) * spread
    gone = torch.rand(rows, codes, generator=generator) < removed
    gone[:, torch.randint(codes, (1,), generator=generator)] = False
    logits = logits.masked_fill(gone, -torch.inf)
    uniform = torch.rand(rows, generator=generator, dtype=torch.float64)
    uniform[0] = [0.0, 0.5, 1 - 2**-53][seed % 3]
    drawn = draw(logits, uniform)
    shares = torch.softmax(logits.double(), dim=-1)
    reached = shares.cumsum(dim=-1)
    for row, code in enumerate(drawn.tolist()):
        assert not gone[row, code]
        below = reached[row, code] - shares[row, code]
        assert below - 1e-12 <= uniform[row] <= reached[row, code] + 1e-12


def test_apples_gpus_draw_with_numbers_that_they_have() -> None:
    assert number_type(torch.device("mps")) == torch.float32
    assert {number_type(torch.device(kind)) for kind in ("cpu", "cuda")} == {torch.float64}
