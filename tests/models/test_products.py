"""Products with weights: every way gives the plain product, and the choice follows from shape and type."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from gigatok.models import products
from gigatok.models.products import NARROW, Linear, Product, fastest_way, linear

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


@pytest.fixture
def onednn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the matrices that oneDNN multiplied with."""
    shapes: list[tuple[int, ...]] = []
    product = products._onednn

    def counted(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        shapes.append(tuple(weight.shape))
        return product(x, weight, bias)

    monkeypatch.setattr(products, "_onednn", counted)
    return shapes


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    leading=st.lists(st.integers(1, 9), min_size=0, max_size=3),
    inputs=st.integers(1, 200),
    outputs=st.integers(1, 200),
    with_bias=st.booleans(),
    sliced=st.booleans(),
    by_column=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_linear_product_and_its_gradients_are_the_plain_ones(
    leading: list[int], inputs: int, outputs: int, with_bias: bool, sliced: bool, by_column: bool, seed: int
) -> None:
    """Against float64, whatever the shape, the order in memory, or whether the weight is part of a larger one."""
    generator = torch.Generator().manual_seed(seed)
    whole = torch.randn(outputs + 3, inputs, generator=generator)
    weight = (whole[2:-1] if sliced else whole[:outputs].clone()).detach().requires_grad_()
    bias = torch.randn(outputs, generator=generator).requires_grad_() if with_bias else None
    x = torch.randn(*leading, inputs, generator=generator)
    if by_column:
        x = x.transpose(0, -1).contiguous().transpose(0, -1)
    x.requires_grad_()
    grad = torch.randn(*leading, outputs, generator=generator)
    given_to = [part for part in (x, weight, bias) if part is not None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "NARROW", 0)
        found = linear(x, weight, bias)
        gradients = torch.autograd.grad(found, given_to, grad)
    expected = F.linear(x.double(), weight.double(), None if bias is None else bias.double())
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-5)
    assert found.shape == expected.shape
    for ours, plain in zip(gradients, torch.autograd.grad(expected, given_to, grad.double()), strict=True):
        assert ours.shape == plain.shape
        torch.testing.assert_close(ours, plain, atol=2e-4, rtol=1e-5)


@pytest.mark.skipif(not PACKS, reason="this build has no product by oneDNN")
def test_wide_layers_multiply_by_onednn_in_both_directions(onednn: list[tuple[int, ...]]) -> None:
    layer, x = Linear(96, 64), torch.randn(5, 3, 96, requires_grad=True)
    layer(x).sum().backward()
    assert onednn == [(64, 96), (96, 64), (96, 15)]
    with torch.no_grad():
        layer(x)
    assert onednn[3:] == [(64, 96)]


@pytest.mark.skipif(not PACKS, reason="this build has no product by oneDNN")
def test_only_the_gradients_asked_for_are_computed(onednn: list[tuple[int, ...]]) -> None:
    layer = Linear(96, 64).requires_grad_(False)
    layer(torch.randn(5, 96, requires_grad=True)).sum().backward()
    assert len(onednn) == 2
    Linear(96, 64)(torch.randn(5, 96)).sum().backward()
    assert len(onednn) == 4


def test_a_bias_learns_where_nothing_else_does() -> None:
    layer = Linear(96, 64)
    layer.weight.requires_grad_(False)
    layer(torch.randn(5, 3, 96)).sum().backward()
    assert layer.bias.grad is not None
    torch.testing.assert_close(layer.bias.grad, torch.full((64,), 15.0))


def test_what_onednn_does_not_take_is_multiplied_as_before(onednn: list[tuple[int, ...]]) -> None:
    """Narrow matrices, other types and devices, no rows, and passes under autocast, the compiler or a counter."""
    narrow = Linear(16, NARROW // 16 - 1)
    assert narrow(torch.randn(4, 16)).shape == (4, NARROW // 16 - 1)
    wide = Linear(96, 96)
    assert wide(torch.randn(0, 96)).shape == (0, 96)
    with torch.autocast("cpu", torch.bfloat16):
        assert wide(torch.randn(4, 96)).dtype == torch.bfloat16
    with FlopCounterMode(display=False) as counter:
        wide(torch.randn(4, 96))
    assert counter.get_total_flops() == 2 * 4 * 96 * 96
    assert wide.to(torch.float64)(torch.randn(4, 96, dtype=torch.float64)).dtype == torch.float64
    assert Linear(96, 96, device="meta")(torch.randn(4, 96, device="meta")).device.type == "meta"
    compiled = torch.compile(Linear(96, 96), backend="eager", fullgraph=True)
    assert compiled(torch.randn(4, 96)).shape == (4, 96)
    assert onednn == []


def test_a_row_has_the_same_bits_in_every_batch_of_two_rows_or_more() -> None:
    """Validation and tokens are computed in batches of other sizes by other numbers of processes; an image has several
    rows. Of one row alone oneDNN adds up in another order."""
    torch.manual_seed(0)
    for width, outputs in ((72, 216), (96, 256), (288, 72), (768, 2304)):
        layer, x = Linear(width, outputs).requires_grad_(False), torch.randn(256, width)
        whole = layer(x)
        for rows in (2, 7, 16, 17, 64, 100):
            assert torch.equal(layer(x[:rows]), whole[:rows]), (width, rows)
