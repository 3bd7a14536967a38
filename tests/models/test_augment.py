"""DiffAugment against slow references, its ranges, its seed and its gradient."""

import pytest
import torch

from gigatok.models.augment import cut_out, diff_augment, translate


def draw(value: float, count: int = 1) -> torch.Tensor:
    return torch.full((count, 1, 1, 1), value)


def test_translation_against_rolling():
    images = torch.randn(1, 3, 16, 16)  # largest shift 2, so 5 shifts: -2..2
    for step in range(5):
        shift = step - 2
        moved = translate(images, draw((step + 0.5) / 5), draw(0.5))  # 0.5: no shift to the side
        expected = torch.roll(images, -shift, dims=2)
        if shift > 0:
            expected[:, :, -shift:] = 0
        elif shift < 0:
            expected[:, :, :-shift] = 0
        torch.testing.assert_close(moved, expected, atol=0, rtol=0)


def test_images_move_on_their_own_and_sideways():
    images = torch.arange(16.0).expand(2, 1, 16, 16)
    moved = translate(images, draw(0.5, 2), torch.tensor([0.0, 0.99]).view(2, 1, 1, 1))
    assert moved[0, 0, 0].tolist() == [0, 0, *range(14)]
    assert moved[1, 0, 0].tolist() == [*range(2, 16), 0, 0]


@pytest.mark.parametrize("side", [32, 25])
def test_cutout_is_one_square_within_the_border(side):
    size = round(side * 0.2)
    inside = cut_out(torch.ones(1, 3, side, side), draw(0.5), draw(0.5))
    assert (inside == 0).sum().item() == 3 * size**2
    corner = cut_out(torch.ones(1, 1, side, side), draw(0.0), draw(0.0))[0, 0]
    assert (corner == 0).sum().item() == (size - size // 2) ** 2
    assert corner[0, 0] == 0
    end = cut_out(torch.ones(1, 1, side, side), draw(0.9999), draw(0.9999))[0, 0]
    assert end[-1, -1] == 0


def test_colour_changes_keep_to_their_ranges():
    torch.manual_seed(0)
    grey = torch.full((512, 3, 3, 3), 0.25)  # too small to shift; saturation, contrast: no change on flat grey
    centre = diff_augment(grey)[:, 0, 1, 1]
    kept = centre[centre != 0] - 0.25
    assert kept.min() < -0.4
    assert kept.max() > 0.4
    assert kept.abs().max() <= 0.5 + 1e-6


def test_saturation_and_contrast_scale_about_their_means():
    torch.manual_seed(1)
    images = torch.randn(64, 3, 3, 3)  # too small to shift
    found = diff_augment(images)
    colour = images - images.mean(1, keepdim=True)
    kept = (found != 0).all(1, keepdim=True)
    ratio = ((found - found.mean(1, keepdim=True)) / colour).where(kept, torch.nan)
    scale = ratio.flatten(1).nanmedian(1).values
    assert torch.allclose(ratio.nan_to_num(), (scale.view(-1, 1, 1, 1) * kept).expand_as(ratio), atol=1e-3)
    assert scale.min() >= 0
    assert 1.5 < scale.max() <= 3  # 2 of saturation times 1.5 of contrast


def test_contrast_keeps_between_half_and_one_and_a_half():
    torch.manual_seed(2)
    grey = torch.randn(256, 1, 3, 3).expand(-1, 3, -1, -1)  # without colour, saturation does nothing
    found = diff_augment(grey)
    steps = [x[:, 0, :, 1:] - x[:, 0, :, :-1] for x in (found, grey)]
    contrast = (steps[0] / steps[1]).flatten(1).median(1).values  # the median passes over the cutout
    assert 0.5 - 1e-4 <= contrast.min() < 0.55
    assert 1.45 < contrast.max() <= 1.5 + 1e-4


def test_one_seed_one_result_and_images_differ():
    images = torch.randn(1, 3, 32, 32).expand(4, -1, -1, -1)
    one = diff_augment(images, torch.Generator().manual_seed(5))
    two = diff_augment(images, torch.Generator().manual_seed(5))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])


def test_gradient_reaches_the_images():
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    diff_augment(images).square().sum().backward()
    assert (images.grad != 0).float().mean() > 0.5
