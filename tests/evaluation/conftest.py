"""A small extractor that is cheap and knows classes, in the place of a pretrained one; and a whole small project."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from gigatok.artifacts import Workspace
from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.data import PreparedData, prepare, to_float
from gigatok.evaluation.extractors.base import Extractor, FeatureNetwork, NetworkOutput
from gigatok.evaluation.extractors.resize import Resize
from gigatok.evaluation.scoring import evaluate as evaluate_module
from gigatok.evaluation.scoring import perceptual as perceptual_scoring
from gigatok.evaluation.stages import generator as generator_stage
from gigatok.evaluation.stages import reference as reference_stage
from gigatok.evaluation.stages import tokenizer_work


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
def make_extractor() -> Callable[..., Extractor]:
    """``tiny_extractor``."""
    return tiny_extractor


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """The extractor that ``evaluate`` gets for any name."""
    extractor = tiny_extractor()

    def load(name: str, weights: object, image_size: int | None, device: str) -> Extractor:
        return extractor if image_size is None else tiny_extractor(size=image_size)

    monkeypatch.setattr(evaluate_module, "load_extractor", load)
    return extractor


class PooledNetwork(TinyNetwork):
    """Without the spatial map, which at Inception's 299 px has too many dimensions for a fast test."""

    def forward(self, images: Tensor) -> NetworkOutput:
        return super().forward(images)._replace(spatial=None)


@pytest.fixture
def inception(monkeypatch: pytest.MonkeyPatch) -> Extractor:
    """What ``evaluate`` gets under Inception's name: it has the protocols' resizes."""
    extractor = replace(tiny_extractor("inception-2015"), network=PooledNetwork())
    monkeypatch.setattr(evaluate_module, "load_extractor", lambda *_, **__: extractor)
    return extractor


class Project(NamedTuple):
    """Data, a tokenizer and a generator, both untrained, called S-S."""

    params: Params
    workspace: Workspace
    judge: Extractor

    def evaluating(self, **changes: object) -> Params:
        """Settings with other ``evaluate_generator``."""
        section = self.params.evaluate_generator.replace(**changes)
        return self.params.model_copy(update={"evaluate_generator": section})


class TinyPerceptual(nn.Module):
    """Mean squared error an image."""

    sha256 = "3" * 64

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a - b).square().mean(dim=(1, 2, 3))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose stages up to ``reference`` have run, with 16 px images and a tiny judge."""
    from gigatok.interop.native import save_model
    from gigatok.models import ArModel, Tokenizer

    values = yaml.safe_load(render("smoke"))
    values["prepare"] |= {"image_size": 16, "limit_concepts": 40}
    values["train_tokenizer"]["model"]["num_tokens"] = 4
    values["evaluate_generator"] |= {"samples": 20, "batch_size": 6}
    values["tracking"]["enabled"] = False
    params, workspace = parse_params(values), Workspace(tmp_path)
    judge = tiny_extractor()
    for stage in (reference_stage, tokenizer_work, generator_stage):
        monkeypatch.setattr(stage, "open_extractor", lambda section, device: judge)
    monkeypatch.setattr(perceptual_scoring, "load_perceptual", lambda name, weights: TinyPerceptual())

    prepare(params.prepare, params.base, workspace.data)
    data = PreparedData.open(workspace.data)
    torch.manual_seed(0)
    tokenizer_config = params.tokenizer_model("S-S", alignment_dim=8)
    tokenizer = Tokenizer(tokenizer_config).eval()
    run = workspace.tokenizer("S-S")
    save_model(run.path, tokenizer, tokenizer_config)
    indices = [
        tokenizer.encode(to_float(images.batch(np.arange(len(images))))).numpy()
        for images in (data.train, data.validation)
    ]
    labels = {"train_labels": data.train.labels, "validation_labels": data.validation.labels}
    np.savez(run.indices_path, train=indices[0][:, None], validation=indices[1], **labels)
    ar_config = params.generator_model("S-S", tokens=4, codebook_size=64, classes=len(data.summary.classes))
    ar = ArModel(ar_config).eval()
    for parameter in ar.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_model(workspace.generator("S-S").path, ar, ar_config)
    reference_stage.score_reference(params, workspace)
    return Project(params, workspace, judge)
