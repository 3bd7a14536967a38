"""PatchGAN against the official code."""

from __future__ import annotations

import formula
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gigatok.models import PatchGan
from gigatok.models.discriminator import GroupBatchNorm


def test_training_logits_are_official() -> None:
    discriminator = PatchGan(channels=64, layers=3)
    state = formula.state_dict(formula.shapes("patchgan"))
    used = {name.removeprefix("discriminator."): value for name, value in state.items()}
    found = discriminator.load_state_dict(used, strict=False)
    assert not found.missing_keys
    assert {name.split(".")[-1] for name in found.unexpected_keys} == {  # never read in training mode
        "running_mean",
        "running_var",
        "num_batches_tracked",
    }
    expected = torch.from_numpy(formula.outputs("losses")["patchgan_train_logits"])
    logits = discriminator.train()(formula.images(2, 64))
    torch.testing.assert_close(logits, expected, atol=3e-5, rtol=1e-5)


@pytest.mark.parametrize(("size", "logits"), [(256, 30), (64, 6)])
def test_patches_overlap(size: int, logits: int) -> None:
    with torch.device("meta"):
        assert PatchGan()(torch.empty(2, 3, size, size)).shape == (2, 1, logits, logits)


def test_initialisation() -> None:
    torch.manual_seed(0)
    discriminator = PatchGan(channels=32)
    convolutions = [part for part in discriminator.main if isinstance(part, nn.Conv2d)]
    norms = [part for part in discriminator.main if isinstance(part, GroupBatchNorm)]
    assert [part.bias is None for part in convolutions] == [False, True, True, True, False]
    assert abs(convolutions[2].weight.std().item() - 0.02) < 1e-3
    assert abs(norms[2].weight.mean().item() - 1) < 0.01
    assert 0.01 < norms[2].weight.std().item() < 0.03


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    groups=st.integers(1, 4),
    group=st.integers(1, 4),
    channels=st.integers(1, 5),
    side=st.integers(2, 6),
    shift=st.sampled_from([0.0, 30.0]),
    seed=st.integers(0, 100),
)
def test_all_groups_at_once_are_the_groups_one_by_one(
    groups: int, group: int, channels: int, side: int, shift: float, seed: int
) -> None:
    """What is compiled; values, and gradients of images and weights."""
    generator = torch.Generator().manual_seed(seed)
    norm = GroupBatchNorm(channels, group)
    images = torch.randn(groups * group, channels, side, side, generator=generator) + shift
    direction = torch.randn(images.shape, generator=generator)
    found = []
    for forward in (norm, lambda x: norm._at_once(x, group)):
        leaf = images.clone().requires_grad_()
        out = forward(leaf)
        found.append((out.detach(), *torch.autograd.grad((out * direction).sum(), (leaf, norm.weight, norm.bias))))
    for plain, mine in zip(*found, strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-3, atol=2e-4)


def test_compiled_it_takes_groups_at_once() -> None:
    torch._dynamo.reset()
    seen = []
    torch.manual_seed(0)
    discriminator, images = PatchGan(4, 2, statistics_group=2), torch.rand(8, 3, 32, 32)

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        seen.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    found = torch.compile(discriminator, backend=backend)(images)
    torch.testing.assert_close(found, discriminator(images), rtol=1e-4, atol=1e-5)
    assert any("var_mean" in name for name in seen)
    assert not any("batch_norm" in name for name in seen)
    torch._dynamo.reset()
