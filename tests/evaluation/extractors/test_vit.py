"""DINOv2 and CLIP extractors, with random weights in timm's own layout."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.extractors import vit
from gigatok.evaluation.extractors.registry import load_extractor
from gigatok.evaluation.extractors.vit import VIT_EXTRACTORS


@pytest.mark.parametrize("name", ["dinov2-s", "clip-b32"])
def test_features_are_what_timm_returns(name: str, tmp_path: Path) -> None:
    source = VIT_EXTRACTORS[name]
    torch.manual_seed(0)
    network = timm.create_model(source.timm_name, num_classes=source.dim if source.projection else 0, img_size=224)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    extractor = load_extractor(name, weights=tmp_path / "model.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    features = extractor.extract(images)
    with torch.inference_mode():
        expected = network.eval()(extractor.resize(torch.from_numpy(images).permute(0, 3, 1, 2)))
    assert features.pool.shape == (2, extractor.dim)
    assert features.probabilities is None
    np.testing.assert_allclose(features.pool, expected.numpy(), atol=1e-4)


def test_no_network_and_no_file_name_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, weights: Path | None, *, setting: str) -> Path:
        raise GigatokError(f"{setting} is empty and the download of {name} failed")

    monkeypatch.setattr(vit, "timm_weights", absent)
    with pytest.raises(GigatokError, match="weights is empty"):
        load_extractor("dinov2-b")
    with pytest.raises(ConfigError, match="not a multiple of dinov2-b's patch 14"):
        load_extractor("dinov2-b", image_size=100)
