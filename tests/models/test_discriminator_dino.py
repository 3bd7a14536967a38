"""The DINO discriminator: size, shapes, heads against plain operations, what is frozen, what is random."""

import copy

import pytest
import torch
import torch.nn.functional as F

from gigatok.models.augment import diff_augment
from gigatok.models.discriminator_dino import (
    DinoDiscriminator,
    DinoHead,
    VirtualBatchNorm,
    build_dino_backbone,
    fit,
)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    made = build_dino_backbone()
    for block in made.blocks:  # random biases, so that their effect could be seen
        torch.nn.init.normal_(block.attn.qkv.bias, std=0.5)
    return made


@pytest.fixture
def discriminator(backbone):
    torch.manual_seed(1)
    return DinoDiscriminator(copy.deepcopy(backbone))


def test_counts_and_logits_of_the_official_one(discriminator):
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 7_386_245
    assert discriminator(torch.rand(2, 3, 256, 256) * 2 - 1).shape == (2, 980)


def test_images_are_augmented_then_fitted_with_torchs_generator(discriminator):
    discriminator.eval()  # no power iterations: equal weights in all calls
    images = torch.rand(2, 3, 256, 256) * 2 - 1
    torch.manual_seed(3)
    found = discriminator(images)
    torch.manual_seed(3)
    taps = discriminator.features(fit(diff_augment(images)))
    expected = torch.cat([head(tap) for head, tap in zip(discriminator.heads, taps, strict=True)], dim=1)
    assert torch.equal(found, expected)
    assert not torch.equal(found, discriminator(images))


def test_backbone_is_frozen_and_outside_the_state(discriminator):
    discriminator.train()
    assert not discriminator.backbone.training
    assert not any(parameter.requires_grad for parameter in discriminator.backbone.parameters())
    assert all(key.startswith("heads.") for key in discriminator.state_dict())
    discriminator.double()
    assert discriminator.backbone.cls_token.dtype == torch.float64


def test_gradients_reach_heads_and_images_alone(discriminator):
    images = (torch.rand(1, 3, 224, 224) * 2 - 1).requires_grad_()
    discriminator(images).sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(p.grad is not None for head in discriminator.heads for p in head.out.parameters())
    assert all(parameter.grad is None for parameter in discriminator.backbone.parameters())


def test_taps_are_timms_blocks_plus_class_token(discriminator):
    images = torch.rand(1, 3, 224, 224) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    _, blocks = discriminator.backbone.forward_intermediates(
        normal, indices=[2, 5, 8, 11], return_prefix_tokens=True, output_fmt="NLC"
    )
    found = discriminator.features(images)
    assert [tap.shape for tap in found] == [(1, 384, 196)] * 5
    for tap, (patches, prefix) in zip(found[1:], blocks, strict=True):
        torch.testing.assert_close(tap, (patches + prefix).transpose(1, 2), atol=1e-4, rtol=1e-4)


def test_zeroed_key_biases_change_nothing(discriminator):
    images = torch.rand(1, 3, 224, 224) * 2 - 1
    before = discriminator.features(images)[-1]
    with torch.no_grad():
        for block in discriminator.backbone.blocks:
            block.attn.qkv.bias[384:768] = 0
    torch.testing.assert_close(discriminator.features(images)[-1], before, atol=1e-4, rtol=1e-4)


def test_gelu_is_a_setting(backbone):
    images = torch.rand(1, 3, 224, 224) * 2 - 1
    taps = [DinoDiscriminator(copy.deepcopy(backbone), gelu).features(images)[-1] for gelu in ("tanh", "erf")]
    assert 1e-5 < (taps[0] - taps[1]).abs().max() < 0.1
    with pytest.raises(ValueError, match="tanh, erf"):
        DinoDiscriminator(copy.deepcopy(backbone), "relu")


def by_hand(head: DinoHead, x: torch.Tensor) -> torch.Tensor:
    """The head from its tensors: circular convolutions with weights over their largest singular value."""

    def convolve(layer, x, padding):
        weight = layer.parametrizations.weight.original
        weight = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)
        x = torch.cat([x[..., x.shape[-1] - padding :], x, x[..., :padding]], dim=-1)
        return F.conv1d(x, weight, layer.bias)

    def block(parts, x, padding):
        x = convolve(parts[0], x, padding)
        mean = x.mean((0, 2), keepdim=True)
        variance = (x - mean).square().mean((0, 2), keepdim=True)
        x = (x - mean) / (variance + 1e-6).sqrt() * parts[1].weight[:, None] + parts[1].bias[:, None]
        return torch.where(x > 0, x, 0.2 * x)

    x = block(head.mix, x, 0)
    x = (block(head.neighbours, x, 4) + x) / 2**0.5
    return convolve(head.out, x, 0)[:, 0]


def test_head_against_plain_operations():
    torch.manual_seed(2)
    head = DinoHead(16)
    x = torch.randn(3, 16, 20)
    for _ in range(200):  # power iterations, one a call, until the singular values are exact
        head(x)
    with torch.no_grad():
        for norm in (head.mix[1], head.neighbours[1]):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_()
        torch.testing.assert_close(head(x), by_hand(head, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("count", "runs"), [(8, [8]), (16, [8, 8]), (9, [5, 4]), (3, [3])])
def test_norm_is_over_runs_of_at_most_eight(count, runs):
    norm = VirtualBatchNorm(4).eval()
    x = torch.randn(count, 4, 6) * 3 + 1
    found = norm(x)
    for run in found.split(runs):
        torch.testing.assert_close(run.mean((0, 2)), torch.zeros(4), atol=1e-5, rtol=0)
        torch.testing.assert_close(run.var((0, 2), unbiased=False), torch.ones(4), atol=1e-4, rtol=0)
    expected = torch.cat([(part - part.mean((0, 2), keepdim=True)) for part in x.split(runs)])
    assert F.cosine_similarity(found.flatten(), expected.flatten(), dim=0) > 0.98


def test_large_images_are_cropped_or_shrunk_at_random():
    images = torch.rand(2, 3, 256, 256)
    windows = images.unfold(2, 224, 1).unfold(3, 224, 1)  # every crop: (2, 3, 33, 33, 224, 224)
    shrunk, places = 0, set()
    for seed in range(40):
        found = fit(images, torch.Generator().manual_seed(seed))
        assert found.shape == (2, 3, 224, 224)
        corner = (windows[..., 0, 0] == found[:, :, None, None, 0, 0]).all(0).all(0)
        match = corner.nonzero().tolist()
        if not match:
            torch.testing.assert_close(found, F.interpolate(images, size=(224, 224), mode="area"))
            shrunk += 1
        else:
            top, left = match[0]
            assert torch.equal(found, images[..., top : top + 224, left : left + 224])
            places.add((top, left))
    assert 10 <= shrunk <= 30
    assert len(places) > 5


def test_small_images_are_enlarged_and_fitting_ones_kept():
    images = torch.rand(1, 3, 224, 224)
    assert fit(images) is images
    assert fit(torch.rand(1, 3, 64, 64)).shape == (1, 3, 224, 224)
