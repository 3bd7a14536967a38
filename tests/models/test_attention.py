"""Attention against torch's own module, whose parameter layout the official code has."""

from __future__ import annotations

import torch
from torch import nn

from gigatok.models.attention import Attention, FeedForward, flatten_map, init_weights, unflatten_map

WIDTH, HEADS = 24, 3


def pair() -> tuple[Attention, nn.MultiheadAttention]:
    """Ours and torch's with equal, non-zero weights."""
    ours, torchs = Attention(WIDTH, HEADS), nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
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
