"""A small extractor that is cheap and knows classes, in the place of a pretrained one."""

import pytest
import torch
from torch import Tensor

from gigatok.evaluation import judging
from gigatok.evaluation.extractors import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.resize import Resize


class TinyNetwork(FeatureNetwork):
    """Means of a 2x2 grid (12 features), a spatial map and three classes; counts the images it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> NetworkOutput:
        self.seen += len(images)
        pool = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return NetworkOutput(pool, images[:, :1, ::4, ::4].flatten(1), (4 * images.mean(dim=(2, 3))).softmax(1))


def tiny_extractor(name: str = "tiny", sha256: str = "0" * 64, size: int = 8) -> Extractor:
    """A fresh extractor around ``TinyNetwork``."""
    half = (0.5, 0.5, 0.5)
    resize = Resize(size=size, mode="bilinear", mean=half, std=half)
    return Extractor(name=name, sha256=sha256, image_size=size, dim=12, network=TinyNetwork(), resize=resize)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """The extractor that ``evaluate`` gets for any name."""
    extractor = tiny_extractor()

    def load(name: str, weights: object, image_size: int | None, device: str) -> Extractor:
        return extractor if image_size is None else tiny_extractor(size=image_size)

    monkeypatch.setattr(judging, "load_extractor", load)
    return extractor
