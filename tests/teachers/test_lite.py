"""The embedded default's teacher and perceptual distance."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from plain.efficientnet import timm_network

from gigatok.teachers import load_efficientnet_lite, load_perceptual, load_teacher
from gigatok.teachers.base import unit_channels


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("efficientnet-lite0", image_size=128)


@pytest.fixture(scope="module")
def perceptual():
    return load_perceptual("efficientnet-lite0")


@pytest.fixture(scope="module")
def plain():
    """timm's network, with its batch norms, its padding and its layout."""
    return timm_network("lite0")


@pytest.fixture
def images():
    torch.manual_seed(0)
    return torch.rand(2, 3, 32, 32) * 2 - 1


def plain_maps(plain, images):
    """Outputs of the stem and of each stage, (B, C, h, w)."""
    maps = [plain.bn1(plain.conv_stem(images))]
    for stage in plain.blocks:
        maps.append(stage(maps[-1]))
    return maps


def test_features_are_timms_map_row_by_row(teacher, plain, images):
    with torch.no_grad():
        hidden = plain_maps(plain, F.interpolate(images, size=(128, 128), mode="bicubic"))[4]
    found = teacher.features(images)
    assert found.shape == (2, teacher.grid**2, teacher.dim) == (2, 64, 80)
    torch.testing.assert_close(found[1, 8 * 3 + 5], hidden[1, :, 3, 5], atol=1e-3, rtol=1e-3)
    assert teacher.sha256 == load_efficientnet_lite("lite0").sha256


def plain_distance(plain, images, targets):
    """(B,): squared distances of unit channel vectors, mean over positions, summed over the compared maps."""
    total = 0.0
    pairs = zip(plain_maps(plain, images), plain_maps(plain, targets), strict=True)
    for number, (a, b) in enumerate(pairs):
        if number in (0, 2, 3):
            unit = [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
            total = total + (unit[0] - unit[1]).square().sum(1).flatten(1).mean(1)
    return total


@settings(max_examples=12, deadline=None, derandomize=True)
@given(count=st.integers(1, 3), height=st.integers(8, 49), width=st.integers(8, 49), last=st.booleans())
def test_the_folded_distance_and_its_gradient_are_timms_for_any_shape(perceptual, plain, count, height, width, last):
    generator = torch.Generator().manual_seed(height * 50 + width)
    order = torch.channels_last if last else torch.contiguous_format
    pair = [torch.rand(count, 3, height, width, generator=generator) * 2 - 1 for _ in range(2)]
    images, targets = (each.contiguous(memory_format=order).requires_grad_() for each in pair)
    expected, found = plain_distance(plain, images, targets), perceptual(images, targets)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    ours, theirs = (torch.autograd.grad(each.sum(), images)[0] for each in (found, expected))
    torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), atol=1e-3, rtol=0)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(size=st.integers(16, 96), side=st.integers(8, 40), count=st.integers(1, 2))
def test_the_folded_teacher_is_timms_for_any_size(plain, size, side, count):
    images = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(size)) * 2 - 1
    with torch.no_grad():
        enlarged = F.interpolate(images, size=(size, size), mode="bicubic") if side != size else images
        expected = plain_maps(plain, enlarged)[4].flatten(2).transpose(1, 2)
    found = load_teacher("efficientnet-lite0", image_size=size).features(images)
    torch.testing.assert_close(found / expected.abs().max(), expected / expected.abs().max(), atol=1e-5, rtol=0)


def test_other_grids_keep_the_mean_and_the_places(teacher, images):
    own = teacher.features(images)
    coarse = teacher.features(images, 4)
    block = own.view(2, 8, 8, -1)[:, 2:4, 6:8].mean((1, 2))
    torch.testing.assert_close(coarse.view(2, 4, 4, -1)[:, 1, 3], block, atol=1e-5, rtol=1e-5)
    assert teacher.features(images, 16).shape == (2, 256, 80)
    assert torch.equal(teacher.features(images, 8), own)


@pytest.mark.parametrize("size", [64, 100, 224])
def test_grid_is_announced_for_any_size(size, images):
    other = load_teacher("efficientnet-lite0", image_size=size)
    assert other.features(images).shape[1] == other.grid**2


def test_lite2_is_a_teacher_too(images):
    assert load_teacher("efficientnet-lite2", image_size=64).features(images).shape == (2, 16, 88)


@pytest.mark.parametrize("name", ["teacher", "perceptual"])
def test_networks_stay_frozen(name, request):
    network = request.getfixturevalue(name)
    network.train()
    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_features_carry_no_gradient(teacher, images):
    assert not teacher.features(images.requires_grad_()).requires_grad


def test_distance_is_a_distance(perceptual, images):
    a, b = images, images.flip(0)
    assert perceptual(a, a).tolist() == [0, 0]
    found = perceptual(a, b)
    assert found.shape == (2,)
    assert (found > 0).all()
    torch.testing.assert_close(found, perceptual(b, a))


def test_distance_is_the_mean_squared_difference_of_unit_vectors(perceptual, images):
    a, b = images[:1], images[1:]
    expected = 0.0
    for x, y in zip(perceptual.maps(a), perceptual.maps(b), strict=True):
        positions = x.shape[2] * x.shape[3]
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                u, v = x[0, :, row, column], y[0, :, row, column]
                expected += (u / u.norm() - v / v.norm()).square().sum().item() / positions
    assert perceptual(a, b).item() == pytest.approx(expected, rel=1e-4)
    assert [tuple(x.shape[1:]) for x in perceptual.maps(a)] == [(32, 16, 16), (24, 8, 8), (40, 4, 4)]


def test_more_noise_is_farther_and_descent_comes_closer(perceptual, images):
    noise = torch.randn_like(images)
    distances = [perceptual(images + scale * noise, images).mean().item() for scale in (0.05, 0.2, 0.8)]
    assert distances == sorted(distances)
    start = (images + 0.3 * noise).requires_grad_()
    before = perceptual(start, images).mean()
    before.backward()
    after = perceptual(start.detach() - 0.5 * start.grad, images).mean()
    assert after < before


def test_gradient_is_finite_where_features_vanish():
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    unit_channels(features).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_half_precision_features_do_not_divide_by_zero():
    assert torch.isfinite(unit_channels(torch.zeros(1, 4, 2, 2, dtype=torch.float16))).all()
