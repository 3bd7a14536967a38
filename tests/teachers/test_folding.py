"""Folded batch norms: same values as timm's network in eval mode."""

import pytest
import timm
import torch
from torch import nn

from gigatok.teachers.folding import fold_block, folded_stages


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    made = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in made.modules():  # fresh statistics are 0 and 1: give the folding something to fold
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return made


def test_every_stage_has_the_same_values(network):
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        hidden = network.bn1(network.conv_stem(images))
        expected = [hidden]
        for stage in network.blocks:
            hidden = stage(hidden)
            expected.append(hidden)
        stages = folded_stages(network, len(network.blocks))
        for stage, wanted in zip(stages, expected, strict=True):
            images = stage(images)
            torch.testing.assert_close(images, wanted, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in stages.modules())


def test_refuses_blocks_it_does_not_know():
    with pytest.raises(TypeError, match="no folding rule"):
        fold_block(nn.Linear(1, 1))
