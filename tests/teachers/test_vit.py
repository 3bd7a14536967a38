"""Vision-transformer teachers: shapes of the paper's three, preparation, tokens, positions."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed

from gigatok.config import ConfigError
from gigatok.teachers import load_teacher
from gigatok.teachers.vit import VIT_TEACHERS, VitSource, build_vit

TINY = VitSource("vit_tiny_patch16_224.augreg_in21k", 16, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A teacher 'tiny' with a weight file for 64 px: (network, path)."""
    monkeypatch.setitem(VIT_TEACHERS, "tiny", TINY)
    torch.manual_seed(0)
    network = build_vit(TINY.timm_name, 64).eval()
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    return network, tmp_path / "tiny.pth"


@pytest.mark.parametrize(("name", "dim"), [("dinov2-b", 768), ("clip-dfn-l", 1024), ("siglip-so400m", 1152)])
def test_the_papers_teachers_give_256_patches(name, dim):
    source = VIT_TEACHERS[name]
    with torch.device("meta"):
        network = build_vit(source.timm_name, 224)
        tokens = network.forward_features(torch.empty(1, 3, 224, 224))
    assert tokens.shape == (1, network.num_prefix_tokens + 256, dim)
    assert network.num_features == dim
    assert network.patch_embed.patch_size == (source.patch, source.patch)
    configured = network.pretrained_cfg
    assert (configured["mean"], configured["std"]) == (source.mean, source.std)


def test_clip_dfn_has_the_activation_it_was_trained_with():
    with torch.device("meta"):
        network = build_vit(VIT_TEACHERS["clip-dfn-l"].timm_name, 224)
    assert type(network.blocks[0].mlp.act).__name__ == "QuickGELU"


def test_features_are_normalised_patch_tokens(tiny):
    network, path = tiny
    teacher = load_teacher("tiny", weights=path, image_size=64)
    images = torch.rand(2, 3, 80, 80) * 2 - 1
    unit = F.interpolate((images + 1) / 2, size=(64, 64), mode="bicubic", antialias=False)
    with torch.no_grad():
        expected = network.forward_features(
            (unit - torch.tensor(TINY.mean).view(3, 1, 1)) / torch.tensor(TINY.std).view(3, 1, 1)
        )
    found = teacher.features(images)
    assert (teacher.dim, teacher.grid) == (192, 4)
    torch.testing.assert_close(found, expected[:, 1:], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.mean(-1), torch.zeros(2, 16), atol=1e-4, rtol=0)  # the final norm was applied
    assert teacher.features(images, 2).shape == (2, 4, 192)


def test_order_of_resize_and_statistics_does_not_matter(tiny):
    teacher = load_teacher("tiny", weights=tiny[1], image_size=64)
    images = torch.rand(1, 3, 80, 80) * 2 - 1
    first = ((images + 1) / 2 - teacher.mean) / teacher.std
    first = F.interpolate(first, size=(64, 64), mode="bicubic")
    torch.testing.assert_close(teacher.prepare(images), first, atol=1e-5, rtol=1e-5)


def test_positions_are_resampled_to_the_image_size(tiny):
    network, path = tiny
    teacher = load_teacher("tiny", weights=path, image_size=96)
    expected = resample_abs_pos_embed(network.pos_embed, new_size=[6, 6], num_prefix_tokens=1)
    torch.testing.assert_close(teacher.network.pos_embed, expected)
    assert teacher.grid == 6


def test_stays_frozen(tiny):
    teacher = load_teacher("tiny", weights=tiny[1], image_size=64).train()
    assert not any(module.training for module in teacher.modules())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_refuses_sizes_that_the_patches_do_not_tile():
    with pytest.raises(ConfigError, match=r"teacher\.image_size 100 .* patch 14"):
        load_teacher("dinov2-b", image_size=100)
