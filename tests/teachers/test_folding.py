"""Folded batch norms: same values as timm's network in eval mode."""

import copy

import pytest
import timm
import torch
from torch import nn

from gigatok.teachers.folding import folded_stages


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


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (61, 37), (1, 2)])
def test_every_stage_has_the_same_values_mirrored(network, size):
    network = copy.deepcopy(network)
    images = torch.rand(2, 3, *size) * 2 - 1
    with torch.no_grad():
        hidden = network.bn1(network.conv_stem(images))
        expected = [hidden]
        for stage in network.blocks:
            hidden = stage(hidden)
            expected.append(hidden)
        stages = folded_stages(network, len(network.blocks))
        images = images.flip((2, 3))
        for stage, wanted in zip(stages, expected, strict=True):
            images = stage(images)
            torch.testing.assert_close(images.flip((2, 3)), wanted, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in stages.modules())
