"""Channels last: where it is taken, that it stays so from layer to layer, and the group norm written for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gigatok.config import CnnConfig
from gigatok.models.cnn import CnnDecoder, CnnEncoder, depth_to_space
from gigatok.models.discriminator import PatchGan
from gigatok.runtime.channels_last import GroupNorm, group_norm, in_fast_order, lies_in_fast_order
from gigatok.teachers.lpips import STAGES, Lpips, VggFeatures

SMALL = CnnConfig(channels=16, multipliers=(1, 2), latent_channels=16, groups=4)


def half(*shape: int) -> Tensor:
    """Normal bf16 values with channels last."""
    return torch.randn(*shape).bfloat16().contiguous(memory_format=torch.channels_last)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.detach().double() - expected).norm() / (expected.norm() + 1e-9))


def test_order_changes_for_bf16_alone() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert in_fast_order(x) is x
    assert in_fast_order(x.bfloat16()).is_contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        last = in_fast_order(x)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(last, x)
    assert not lies_in_fast_order(last)  # fp32 still: the first convolution rounds it
    assert lies_in_fast_order(last.bfloat16())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 4),
    each=st.integers(1, 6),
    rows=st.integers(1, 9),
    columns=st.integers(2, 9),
    affine=st.sampled_from(["none", "fp32", "bf16"]),
    offset=st.sampled_from([0.0, 5.0]),
    seed=st.integers(0, 1000),
)
def test_group_norm_has_the_gradients_of_torchs(
    batch: int, groups: int, each: int, rows: int, columns: int, affine: str, offset: float, seed: int
) -> None:
    """Against float64 of the same rounded numbers: no further off than torch's own backward pass, but for rounding."""
    torch.manual_seed(seed)
    channels = groups * each
    x, upstream = half(batch, channels, rows, columns) + offset, half(batch, channels, rows, columns)
    kind = torch.bfloat16 if affine == "bf16" else torch.float32
    weights = [] if affine == "none" else [torch.randn(channels).to(kind), torch.randn(channels).to(kind)]

    def results(norm: Callable[..., Tensor], turn: Callable[[Tensor], Tensor]) -> list[Tensor]:
        inputs = [turn(part).detach().requires_grad_() for part in (x, *weights)]
        out = norm(inputs[0], groups, *(inputs[1:] or [None, None]), 1e-6)
        return [out, *torch.autograd.grad(out, inputs, turn(upstream))]

    expected = results(F.group_norm, lambda t: t.double())
    theirs, found = results(F.group_norm, lambda t: t), results(group_norm, lambda t: t)
    # the first of the three terms of the gradient, which the others may cancel, is rounded before they are added
    deviation = (
        (x.double().contiguous().view(batch, groups, -1).var(2, correction=0) + 1e-6).sqrt().repeat_interleave(each, 1)
    )
    gain = weights[0].double().abs() if weights else torch.ones(channels)
    terms = upstream.double() * gain[:, None, None] / deviation[:, :, None, None]
    assert torch.equal(found[0], theirs[0])
    for ours, other, exact in zip(found, theirs, expected, strict=True):
        assert ours.dtype == other.dtype
        assert ours.shape == other.shape
        error, torchs = (float((each.detach().double() - exact.detach()).norm()) for each in (ours, other))
        assert error <= 2 * torchs + 2**-8 * float(terms.norm())


def test_group_norm_keeps_the_order_and_torchs_bits_elsewhere() -> None:
    x = half(2, 8, 5, 6).requires_grad_()
    norm = GroupNorm(2, 8)
    out = norm(x)
    (gradient,) = torch.autograd.grad(out, x, half(2, 8, 5, 6))
    assert lies_in_fast_order(out)
    assert lies_in_fast_order(gradient)
    for other in (torch.randn(2, 8, 5, 6), torch.randn(2, 8, 5, 6).contiguous(memory_format=torch.channels_last)):
        other.requires_grad_()
        assert norm(other).grad_fn.name() == "NativeGroupNormBackward0"


def test_depth_to_space_stays_channels_last_both_ways() -> None:
    x = half(2, 12, 3, 4).requires_grad_()
    out = depth_to_space(x, 2)
    assert torch.equal(out, depth_to_space(x.detach().contiguous(), 2))
    assert lies_in_fast_order(out)
    upstream = half(2, 3, 6, 8)
    (gradient,) = torch.autograd.grad(out, x, upstream)
    plain = x.detach().contiguous().requires_grad_()
    (expected,) = torch.autograd.grad(depth_to_space(plain, 2), plain, upstream)
    assert torch.equal(gradient, expected)
    assert lies_in_fast_order(gradient)


def networks() -> dict[str, tuple[nn.Module, Tensor]]:
    """Each network of convolutions that a tokenizer's training runs, and an input."""
    images = torch.randn(2, 3, 32, 32)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, channels[-1], 1, 1) for i, channels in enumerate(STAGES)}
    perceptual = Lpips(VggFeatures().state_dict(), heads, "random")
    perceptual.forward = lambda x: sum(each.float().mean() for each in perceptual.maps(x))  # type: ignore[method-assign]
    return {
        "encoder": (CnnEncoder(SMALL), images),
        "decoder": (CnnDecoder(SMALL), torch.randn(2, 16, 16, 16)),
        "discriminator": (PatchGan(8), images),
        "perceptual": (perceptual, images),
    }


@pytest.mark.parametrize("name", ["encoder", "decoder", "discriminator", "perceptual"])
def test_all_maps_of_a_network_and_their_gradients_lie_channels_last_in_bf16(name: str) -> None:
    """One map between that lies channel by channel has the next convolution rearrange it."""
    torch.manual_seed(0)
    network, x = networks()[name]
    x.requires_grad_()
    wrong: list[str] = []

    def look(way: str, layer: nn.Module, value: Tensor) -> None:
        if value.ndim == 4 and min(value.shape[1:]) > 1 and not lies_in_fast_order(value.bfloat16()):
            wrong.append(f"{way} of {layer}: {value.shape} {value.stride()}")

    seen = 0
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            seen += 1
            layer.register_forward_hook(lambda layer, inputs, out: look("input", layer, inputs[0]))
            layer.register_forward_hook(lambda layer, inputs, out: look("output", layer, out))
            layer.register_full_backward_hook(lambda layer, inputs, outputs: look("gradient", layer, outputs[0]))
    with torch.autocast("cpu", torch.bfloat16):
        out = network(x)
    (gradient,) = torch.autograd.grad(out, x, out.detach())
    assert seen > 4
    assert not wrong, "\n".join(wrong)
    exact = network(x)
    (expected,) = torch.autograd.grad(exact, x, exact.detach())
    assert relative_error(out, exact.detach().double()) < 0.05
    assert relative_error(gradient, expected.double()) < 0.15
