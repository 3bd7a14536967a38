"""Stem and head: channel order, adaptive norm, official sizes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from gigatok.config import CnnConfig
from gigatok.models.cnn import AdaptiveGroupNorm, CnnDecoder, CnnEncoder, depth_to_space, space_to_depth

SMALL = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=16, groups=4)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_depth_to_space_has_the_block_offset_as_slow_channel_index() -> None:
    x = torch.arange(2 * 12 * 2 * 3).float().view(2, 12, 2, 3)
    out = depth_to_space(x, 2)
    assert out.shape == (2, 3, 4, 6)
    for a in (0, 1):
        for b in (0, 1):
            offset = (2 * a + b) * 3
            assert torch.equal(out[:, :, a::2, b::2], x[:, offset : offset + 3])
    assert not torch.equal(out, F.pixel_shuffle(x, 2))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_space_to_depth_is_the_inverse(factor: int) -> None:
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(depth_to_space(space_to_depth(x, factor), factor), x)
    assert space_to_depth(x, factor).shape == (2, 3 * factor**2, 8 // factor, 8 // factor)


def test_paper_sizes_are_the_official_ones() -> None:
    with torch.device("meta"):
        assert count(CnnEncoder(CnnConfig())) == 26_143_232
        assert count(CnnDecoder(CnnConfig())) == 50_161_155


def test_adaptive_norm_scales_without_adding_one() -> None:
    norm = AdaptiveGroupNorm(8, 4, groups=2)
    torch.nn.init.zeros_(norm.gamma.weight)
    torch.nn.init.constant_(norm.gamma.bias, 3.0)
    torch.nn.init.zeros_(norm.beta.weight)
    torch.nn.init.constant_(norm.beta.bias, -1.0)
    x = torch.randn(2, 8, 5, 5)
    groups = x.view(2, 2, -1)
    normal = (groups - groups.mean(-1, keepdim=True)) / torch.sqrt(groups.var(-1, correction=0, keepdim=True) + 1e-6)
    expected = 3 * normal.view_as(x) - 1
    torch.testing.assert_close(norm(x, torch.randn(2, 4), torch.randn(2, 4)), expected, atol=1e-5, rtol=0)


def test_decoder_norm_sees_the_unbiased_deviation_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        AdaptiveGroupNorm, "forward", lambda self, x, deviation, mean: seen.append((deviation, mean)) or x
    )
    latent = torch.randn(2, 16, 4, 4)
    CnnDecoder(SMALL)(latent)
    assert len(seen) == len(SMALL.multipliers)
    for deviation, mean in seen:
        torch.testing.assert_close(deviation, torch.sqrt(latent.flatten(2).var(2, correction=1) + 1e-6))
        torch.testing.assert_close(mean, latent.flatten(2).mean(2))


@pytest.mark.parametrize("patch", [1, 2])
def test_patches_change_the_resolution_of_the_map_not_of_the_image(patch: int) -> None:
    config = SMALL.replace(patch=patch)
    images = torch.randn(1, 3, 16, 16)
    latent = CnnEncoder(config)(images)
    assert latent.shape == (1, 16, 16 // config.downsample, 16 // config.downsample)
    assert CnnDecoder(config)(latent).shape == images.shape


def test_downsampling_pads_right_and_below() -> None:
    encoder = CnnEncoder(SMALL)
    level = encoder.levels[0]
    level.blocks = torch.nn.ModuleList()
    assert level.downsample is not None
    torch.nn.init.zeros_(level.downsample.bias)
    torch.nn.init.zeros_(level.downsample.weight)
    torch.nn.init.ones_(level.downsample.weight[:, :, 0, 0])
    x = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 8, 4, 4)
    assert torch.equal(level(x)[0, 0], 8 * torch.tensor([[0.0, 2.0], [8.0, 10.0]]))
