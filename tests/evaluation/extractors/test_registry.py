"""Extractors: the embedded judge against timm's plain network, its resize, batch invariance, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from plain.efficientnet import timm_network

from gigatok.config import ConfigError, GigatokError
from gigatok.config.evaluation import EXTRACTORS
from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.extractors.registry import LOADERS, load_extractor
from gigatok.evaluation.extractors.resize import Resize
from gigatok.teachers import load_efficientnet_lite


@pytest.fixture(scope="module")
def judge() -> Extractor:
    return load_extractor("efficientnet-lite2", image_size=96)


def _images(count: int = 5, size: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_the_names_that_settings_know_are_those_that_can_be_loaded() -> None:
    assert tuple(LOADERS) == EXTRACTORS


def test_folded_network_equals_the_plain_one(judge: Extractor) -> None:
    network = timm_network("lite2")
    prepared = judge.resize(torch.from_numpy(_images()).permute(0, 3, 1, 2))
    with torch.inference_mode():
        logits = network(prepared)
        pool = network.forward_head(network.forward_features(prepared), pre_logits=True)
    found = judge.extract(_images())
    np.testing.assert_allclose(found.pool, pool.numpy(), atol=2e-5)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, logits.softmax(1).numpy(), atol=1e-5)
    assert judge.sha256 == load_efficientnet_lite("lite2").sha256
    assert found.pool.shape == (5, judge.dim)
    assert found.spatial is None


@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate])  # a smaller one takes minutes
@given(count=st.integers(1, 5), side=st.integers(8, 40), size=st.integers(32, 97), batch=st.integers(1, 5))
def test_the_folded_judge_is_timms_for_any_shape(count: int, side: int, size: int, batch: int) -> None:
    """lite0, by batches, channels last and mirrored, against the whole set through timm's own network."""
    judge, network = load_extractor("efficientnet-lite0", image_size=size), timm_network("lite0")
    images = np.random.default_rng(side).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    with torch.inference_mode():
        maps = network.forward_features(judge.resize(torch.from_numpy(images).permute(0, 3, 1, 2)))
        pool = network.forward_head(maps, pre_logits=True)
        shares = network.forward_head(maps).softmax(1)
    found = judge.extract(images, batch_size=batch)
    assert found.probabilities is not None
    np.testing.assert_allclose(found.pool, pool.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.probabilities, shares.numpy(), atol=1e-5)


def test_batch_size_changes_nothing_and_progress_is_told(judge: Extractor) -> None:
    seen: list[tuple[int, int]] = []
    whole = judge.extract(_images(), batch_size=5)
    parts = judge.extract(_images(), batch_size=2, progress=lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(parts.pool, whole.pool, atol=2e-5)
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_native_size_is_the_default_and_the_size_is_recorded() -> None:
    assert load_extractor("efficientnet-lite0").image_size == 224
    small = load_extractor("efficientnet-lite0", image_size=64)
    assert small.image_size == 64
    assert "bicubic antialiased to 64x64" in small.preprocessing


def test_resize_agrees_with_pillow_up_to_its_rounding() -> None:
    image = _images(1, 40)
    resize = Resize(size=16, mode="bicubic", mean=(0, 0, 0), std=(1, 1, 1))
    ours = resize(torch.from_numpy(image).permute(0, 3, 1, 2))[0].permute(1, 2, 0).numpy() * 255
    theirs = np.asarray(Image.fromarray(image[0]).resize((16, 16), Image.Resampling.BICUBIC), dtype=np.float32)
    assert np.abs(ours - theirs).max() < 1.01


def test_resize_golden_values() -> None:
    ramp = (np.arange(8, dtype=np.uint8) * 30)[None, None, :, None].repeat(8, axis=1).repeat(3, axis=3)
    halved = Resize(size=4, mode="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3)
    values = halved(torch.from_numpy(ramp).permute(0, 3, 1, 2))[0, 0, 0] * 127.5 + 127.5
    np.testing.assert_allclose(values.numpy(), [21.4285714, 75.0, 135.0, 188.571428], rtol=1e-5)
    sharp = Resize(size=4, mode="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3, antialias=False)
    values = sharp(torch.from_numpy(ramp).permute(0, 3, 1, 2))[0, 0, 0] * 127.5 + 127.5
    np.testing.assert_allclose(values.numpy(), [15.0, 75.0, 135.0, 195.0], rtol=1e-5)


def test_images_of_the_network_size_are_left_alone() -> None:
    image = torch.from_numpy(_images(1, 16)).permute(0, 3, 1, 2)
    same = Resize(size=16, mode="bicubic", mean=(0, 0, 0), std=(1, 1, 1))(image)
    torch.testing.assert_close(same, image.float() / 255)


def test_mistakes_are_named(judge: Extractor) -> None:
    with pytest.raises(ConfigError, match="extractor 'resnet' is not one of"):
        load_extractor("resnet")
    with pytest.raises(ConfigError, match="brings its own weights"):
        load_extractor("efficientnet-lite2", weights=Path("x.pth"))
    with pytest.raises(ConfigError, match="extractor_size 8 must be at least 32"):
        load_extractor("efficientnet-lite2", image_size=8)
    with pytest.raises(GigatokError, match="expected uint8"):
        judge.extract(_images().astype(np.float32))
