"""PatchGAN against the official code."""

from __future__ import annotations

import formula
import pytest
import torch
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
