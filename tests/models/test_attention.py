"""Attention against torch's own module, whose parameter layout the official code has."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from gigatok.models import attention
from gigatok.models.attention import Attention, FeedForward, attend, flatten_map, init_weights, unflatten_map

WIDTH, HEADS = 24, 3


def pair(width: int = WIDTH, heads: int = HEADS) -> tuple[Attention, nn.MultiheadAttention]:
    """Ours and torch's with equal, non-zero weights."""
    ours, torchs = Attention(width, heads), nn.MultiheadAttention(width, heads, batch_first=True)
    with torch.no_grad():
        torchs.in_proj_bias.normal_()
        torchs.out_proj.bias.normal_()
        ours.qkv.weight.copy_(torchs.in_proj_weight)
        ours.qkv.bias.copy_(torchs.in_proj_bias)
        ours.out.weight.copy_(torchs.out_proj.weight)
        ours.out.bias.copy_(torchs.out_proj.bias)
    return ours, torchs


def test_self_attention_adds_positions_to_queries_and_keys_only() -> None:
    ours, torchs = pair()
    x, positions = torch.randn(2, 5, WIDTH), torch.randn(5, WIDTH)
    expected = torchs(x + positions, x + positions, x, need_weights=False)[0]
    torch.testing.assert_close(ours(x, positions), expected, atol=2e-6, rtol=1e-5)
    assert not torch.allclose(ours(x), expected, atol=1e-3)
    torch.testing.assert_close(ours(x), torchs(x, x, x, need_weights=False)[0], atol=2e-6, rtol=1e-5)


def test_cross_attention_reads_values_without_positions() -> None:
    ours, torchs = pair()
    x, positions = torch.randn(2, 5, WIDTH), torch.randn(5, WIDTH)
    memory, memory_positions = torch.randn(2, 7, WIDTH), torch.randn(7, WIDTH)
    expected = torchs(x + positions, memory + memory_positions, memory, need_weights=False)[0]
    found = ours.cross(x, positions, memory, memory_positions)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    heads=st.integers(1, 4),
    head_width=st.sampled_from([1, 4, 8]),
    batch=st.integers(1, 3),
    queries=st.integers(1, 9),
    memory=st.one_of(st.just(0), st.integers(1, 9)),
    seed=st.integers(0, 1000),
)
def test_positions_projected_alone_change_nothing_for_any_shape(
    heads: int, head_width: int, batch: int, queries: int, memory: int, seed: int
) -> None:
    """Outputs and gradients of inputs and positions; without a memory, of self-attention."""
    torch.manual_seed(seed)
    width = heads * head_width
    ours, torchs = pair(width, heads)
    inputs = [torch.randn(shape, requires_grad=True) for shape in ((batch, queries, width), (queries, width))]
    if memory:
        inputs += [torch.randn(shape, requires_grad=True) for shape in ((batch, memory, width), (memory, width))]
    x, at, *read = inputs
    values, keys_at = read or (x, at)
    expected = torchs(x + at, values + keys_at, values, need_weights=False)[0]
    found: Tensor = ours.cross(x, at, *read) if read else ours(x, at)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn_like(found)
    gradients = (torch.autograd.grad(each, inputs, upstream) for each in (found, expected))
    torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    heads=st.integers(1, 3),
    width=st.sampled_from([1, 8, 24]),
    queries=st.integers(1, 40),
    memory=st.integers(1, 40),
    sharp=st.sampled_from([0.1, 1.0, 5.0]),
    offset=st.sampled_from([0.0, 3.0]),
    autocast=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_attention_of_bf16_is_as_exact_as_torchs(
    batch: int,
    heads: int,
    width: int,
    queries: int,
    memory: int,
    sharp: float,
    offset: float,
    autocast: bool,
    seed: int,
) -> None:
    """Outputs and gradients, against float64 of the same rounded numbers; with scores large and values far from 0.

    Trainings run it under autocast, which must not round the scores.
    """
    torch.manual_seed(seed)
    shapes = ((batch, queries, heads, width), (batch, memory, heads, width), (batch, memory, heads, width))
    q, k, v = ((torch.randn(shape) * sharp).bfloat16().transpose(1, 2) for shape in shapes)
    inputs, upstream = (q, k, v + offset), torch.randn(shapes[0]).bfloat16().transpose(1, 2)

    def results(way: Callable[..., Tensor], kind: torch.dtype) -> list[Tensor]:
        parts = [part.detach().to(kind).requires_grad_() for part in inputs]
        out = way(*parts)
        return [out.detach(), *torch.autograd.grad(out, parts, upstream.to(kind))]

    expected = results(F.scaled_dot_product_attention, torch.float64)
    theirs = results(F.scaled_dot_product_attention, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = results(attend, torch.bfloat16)
    assert float((found[0].double() - expected[0]).norm()) <= (
        2 * float((theirs[0].double() - expected[0]).norm()) + 2**-10 * float(expected[0].norm())
    )
    for ours, other, exact in zip(found, theirs, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        assert ours.shape == other.shape
        error, torchs = (float((each.double() - exact).norm()) for each in (ours, other))
        # attention weights and their gradients are rounded once: 2^-9 of what is added up
        assert error <= 2 * torchs + 2**-7 * (
            float(exact.norm()) + float(upstream.double().norm()) * sharp * (1 + offset) / 4
        )


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_only_bf16_with_a_gradient_that_is_computed_now_goes_by_whole_products(
    kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    q = torch.randn(2, 3, 5, 4, dtype=kind, requires_grad=True)
    expected = "_ByProductsBackward" if kind == torch.bfloat16 else "ScaledDotProductFlashAttentionForCpuBackward0"
    assert attend(q, q, q).grad_fn.name() == expected
    with monkeypatch.context() as patch, torch.no_grad():
        patch.setattr(attention._ByProducts, "apply", lambda *parts: pytest.fail("torch's kernel needs less memory"))
        attend(q, q, q)
    monkeypatch.setattr(attention, "computes_now", lambda *tensors: False)
    assert attend(q, q, q).grad_fn.name() == "ScaledDotProductFlashAttentionForCpuBackward0"
    with FakeTensorMode():
        fake = torch.empty(2, 3, 5, 4, dtype=kind)
        assert attend(fake, fake, fake).shape == (2, 3, 5, 4)


def test_feed_forward_uses_the_exact_gelu() -> None:
    ffn = FeedForward(4)
    with torch.no_grad():
        ffn.up.weight.copy_(torch.eye(4).repeat(4, 1))
        ffn.up.bias.zero_()
        ffn.down.weight.copy_(torch.eye(4).repeat(1, 4) / 4)
        ffn.down.bias.zero_()
    x = torch.linspace(-3, 3, 12).view(1, 3, 4)
    exact = x * (1 + torch.erf(x / 2**0.5)) / 2
    torch.testing.assert_close(ffn(x), exact, atol=1e-6, rtol=0)  # the tanh form is off by 5e-4


def test_maps_are_flattened_row_by_row() -> None:
    x = torch.arange(2 * 3 * 2 * 4).view(2, 3, 2, 4)
    flat = flatten_map(x)
    assert torch.equal(flat[:, 5], x[:, :, 1, 1])
    assert torch.equal(unflatten_map(flat, 2), x)


def test_initialisation_is_the_official_one() -> None:
    torch.manual_seed(0)
    attention = Attention(256, 4)
    init_weights(attention)
    bound = (6 / (256 + 3 * 256)) ** 0.5  # Xavier, of the packed matrix
    assert attention.qkv.weight.abs().max() <= bound
    assert abs(attention.qkv.weight.std().item() - bound / 3**0.5) < 1e-3
    assert abs(attention.out.weight.std().item() - 0.02) < 1e-3
    assert not attention.qkv.bias.any()
    assert not attention.out.bias.any()
