"""Resizing as products is resizing, in values and gradients, also where networks call it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gigatok.models import discriminator_dino, qformer
from gigatok.runtime.repeatable import Mode, resize, resize_by_products

sides = st.integers(1, 17)


@settings(max_examples=40, deadline=None)
@given(before=st.tuples(sides, sides), after=st.tuples(sides, sides), mode=st.sampled_from(["area", "bicubic"]))
def test_products_are_the_operation(before: tuple[int, int], after: tuple[int, int], mode: Mode) -> None:
    images = torch.randn(2, 3, *before, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(2, 3, *after, generator=torch.Generator().manual_seed(1))
    results = []
    for found in (F.interpolate(images, size=after, mode=mode), resize_by_products(images, after, mode)):
        results.append((found, *torch.autograd.grad((found * weight).sum(), images)))
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-5)


def test_on_a_cpu_it_is_torchs_own_operation() -> None:
    images = torch.randn(2, 3, 9, 7)
    assert torch.equal(resize(images, (4, 4), "area"), F.adaptive_avg_pool2d(images, (4, 4)))


def test_half_precision_is_kept() -> None:
    assert resize_by_products(torch.ones(1, 1, 4, 4, dtype=torch.bfloat16), (2, 2), "area").dtype == torch.bfloat16


@pytest.mark.parametrize("side", [96, 256])
def test_networks_resize_through_it(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """With products in its place the pooled queries and the discriminator's input are what they were."""
    latent, images = torch.randn(2, 6, 8, 8), torch.rand(2, 3, side, side)
    draws = [0.99, 0.0, 0.0]  # no crop

    def found() -> tuple[Tensor, Tensor]:
        return qformer.multi_level_pooling(latent, 16), discriminator_dino.fit(images, draws=draws)

    expected = found()
    for module in (qformer, discriminator_dino):
        monkeypatch.setattr(module, "resize", resize_by_products)
    torch.testing.assert_close(found(), expected, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(F, "interpolate", None)
    monkeypatch.setattr(F, "adaptive_avg_pool2d", None)
    monkeypatch.setattr("gigatok.runtime.repeatable._matrix", lambda before, after, mode: torch.ones(after, before))
    found()
