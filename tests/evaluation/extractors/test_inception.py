"""``inception-2015`` with random weights against the two packages that others use, in every output."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_fid import inception as port
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.extractors.base import Extractor, Features
from gigatok.evaluation.extractors.inception import _build
from gigatok.evaluation.extractors.registry import load_extractor
from gigatok.evaluation.extractors.resize import Resize


def _images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Random weights in the layout of the published file, scaled so that activations stay alive."""
    generator = torch.Generator().manual_seed(0)
    state = _build().state_dict()
    for name, value in state.items():
        if name.endswith("conv.weight"):
            value.normal_(std=(2 / value[0].numel()) ** 0.5, generator=generator)
        elif name.endswith(("bn.bias", "fc.bias")):
            value.normal_(std=0.5, generator=generator)
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def extractor(weights: Path) -> Extractor:
    return load_extractor("inception-2015", weights=weights)


@pytest.fixture(scope="module")
def features(extractor: Extractor) -> Features:
    return extractor.extract(_images(), batch_size=2)


def test_equals_torch_fidelity_in_features_and_unbiased_logits(features: Features, weights: Path) -> None:
    theirs = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    with torch.inference_mode():
        pool, logits = theirs(torch.from_numpy(_images()).permute(0, 3, 1, 2))
    np.testing.assert_allclose(features.pool, pool.numpy(), rtol=1e-4, atol=1e-4)
    assert features.probabilities is not None
    np.testing.assert_allclose(features.probabilities, logits.softmax(1).numpy(), atol=1e-5)


def test_equals_pytorch_fid_with_its_resize(
    extractor: Extractor, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(port, "load_state_dict_from_url", lambda *_, **__: torch.load(weights, weights_only=True))
    theirs = port.InceptionV3([3]).eval()
    images = torch.from_numpy(_images()).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        pool = theirs(images)[0].flatten(1).numpy()
    resize = Resize(size=299, mode="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3, antialias=False)
    ours = replace(extractor, resize=resize).extract(_images())
    np.testing.assert_allclose(ours.pool, pool, rtol=1e-4, atol=1e-4)


def test_spatial_map_is_the_first_branch_with_channels_last(extractor: Extractor, features: Features) -> None:
    seen: list[torch.Tensor] = []
    branch = extractor.network.get_submodule("network.Mixed_6d.branch1x1")
    handle = branch.register_forward_hook(lambda *call: seen.append(call[2]))
    extractor.extract(_images()[:1])
    handle.remove()
    assert features.spatial is not None
    assert features.spatial.shape == (3, 17 * 17 * 7)
    grid = features.spatial[0].reshape(17, 17, 7)
    np.testing.assert_allclose(grid[2, 5], seen[0][0, :7, 2, 5].numpy(), atol=1e-4)


def test_without_weights_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(port, "FID_WEIGHTS_URL", "http://127.0.0.1:9/pt_inception-2015-12-05-6726825d.pth")
    with pytest.raises(GigatokError, match="set weights to a local file"):
        load_extractor("inception-2015")
    with pytest.raises(GigatokError, match="is not a file"):
        load_extractor("inception-2015", weights=tmp_path / "none.pth")
    with pytest.raises(ConfigError, match="299 px only"):
        load_extractor("inception-2015", image_size=128)


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(GigatokError, match="are not those of inception-2015"):
        load_extractor("inception-2015", weights=tmp_path / "other.pth")
