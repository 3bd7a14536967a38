"""Products of few rows: every way gives the plain product, and the choice follows from shape and type."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gigatok.models import products
from gigatok.models.products import Product, fastest_way

PACKS = products._packs(torch.float32)
WAYS = ["plain", *(["packed"] if PACKS else [])]


@settings(max_examples=40, deadline=None)
@given(
    way=st.sampled_from(WAYS),
    rows=st.integers(1, 70),
    expected_rows=st.integers(1, 70),
    inputs=st.integers(1, 200),
    outputs=st.integers(1, 200),
    by_column=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_way_is_the_plain_product(
    way: products.Way, rows: int, expected_rows: int, inputs: int, outputs: int, by_column: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    x = torch.randn(rows, inputs, generator=generator)
    expected = x.double() @ weight.double().t()
    if by_column:
        x = x.t().contiguous().t()
    found = Product(weight, expected_rows, way)(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-5)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(
    rows=st.one_of(st.integers(1, 3), st.integers(4, 70)),
    inputs=st.integers(1, 200),
    outputs=st.integers(1, 200),
    kind=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    large=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_chosen_way_is_the_plain_product_in_every_type(
    rows: int, inputs: int, outputs: int, kind: torch.dtype, large: bool, seed: int
) -> None:
    """Of the same rounded numbers; an error is at most the type's rounding of what was added up."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator).to(kind)
    x = torch.randn(rows, inputs, generator=generator).to(kind)
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(products, "SMALL_MATRIX", 0)
        found = Product(weight, rows)(x)
    assert found.dtype == kind
    added = x.double().abs() @ weight.double().abs().t()
    error = (found.double() - x.double() @ weight.double().t()).abs()
    assert (error <= 4 * torch.finfo(kind).eps * added).all()


@pytest.mark.skipif(not PACKS, reason="this build keeps no matrices in a kernel's order")
@pytest.mark.parametrize(("shape", "way"), [((768, 768), "packed"), ((96, 288), "plain")])
def test_the_choice_is_the_measured_one(shape: tuple[int, int], way: str) -> None:
    assert fastest_way(torch.zeros(shape)) == way
    assert Product(torch.zeros(shape), rows=2).way == way


def test_types_without_a_packed_kernel_stay_plain() -> None:
    assert fastest_way(torch.zeros(1024, 1024, dtype=torch.float64)) == "plain"
    assert fastest_way(torch.zeros(1024, 1024, device="meta")) == "plain"


def test_a_product_leaves_no_gradient_and_shares_what_it_need_not_copy() -> None:
    weight = torch.nn.Parameter(torch.randn(8, 8))
    product = Product(weight, 2, "plain")
    assert product.weight.data_ptr() == weight.data_ptr()
    assert not product(torch.randn(2, 8)).requires_grad
