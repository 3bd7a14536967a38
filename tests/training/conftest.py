"""A tiny project: 24 images of 8 px, a tokenizer of 20 thousand parameters, a generator."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_files import BASE, image_folder, section

from gigatok.artifacts import RunFolder, Workspace, load_weights, write_json
from gigatok.config import Params, parse_params
from gigatok.config.params import merge
from gigatok.data import PreparedData, prepare
from gigatok.training.train_generator import train_generator
from gigatok.training.train_tokenizer import train_tokenizer

TEACHER_DIM = 6
SETTINGS: dict[str, Any] = {
    "profile": "smoke",
    "suite": "core",
    "base": {"device": "cpu"},
    "prepare": {"source": "imagefolder", "image_size": 8, "validation_fraction": 0.25},
    "teacher": {},
    "reference": {},
    "train_tokenizer": {
        "steps": 8,
        "batch_size": 3,
        "model": {
            "codebook_size": 16,
            "codebook_dim": 4,
            "alignment_layer": 1,
            "sizes": {"S": {"width": 8, "depth": 1, "heads": 1}},
            "cnn": {
                "channels": 8, "multipliers": [1, 1], "encoder_blocks": 1, "decoder_blocks": 1, "mid_blocks": 1,
                "latent_channels": 8, "groups": 4,
            },
        },
        "loss": {
            "perceptual_weight": 0.0,
            "semantic_weight": 0.0,
            "discriminator": {"start_step": 3, "channels": 4, "layers": 1},
        },
        "codebook_restart": {"every": 3, "until_step": 7},
        "log_every": 2,
        "sample_every": 3,
        "save_every": 3,
    },
    "evaluate_tokenizer": {},
    "train_generator": {
        "steps": 8,
        "batch_size": 4,
        "ffn_multiple_of": 8,
        "sizes": {"GPT-B": {"width": 16, "depth": 1, "heads": 2}},
        "log_every": 2,
        "validate_every": 3,
        "save_every": 3,
    },
    "evaluate_generator": {},
    "report": {},
    "tracking": {"enabled": False},
    "tokenizers": {"T": {"encoder": "S", "decoder": "S"}},
    "generators": {"G": {"tokenizer": "T"}},
}  # fmt: skip

Changes = Mapping[str, Any]


class Project:
    """A workspace with prepared images, and short ways to train in it."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)

    @staticmethod
    def params(tokenizer: Changes, generator: Changes, **sections: Changes) -> Params:
        """Settings with changes laid over them, by section."""
        return parse_params(merge(SETTINGS, {"train_tokenizer": tokenizer, "train_generator": generator, **sections}))

    def tokenizer(self, changes: Changes | None = None, **sections: Changes) -> RunFolder:
        """Train tokenizer ``T``."""
        train_tokenizer("T", self.params(changes or {}, {}, **sections), self.workspace)
        return self.workspace.tokenizer("T")

    def generator(
        self, changes: Changes | None = None, *, tokenizer: Changes | None = None, **sections: Changes
    ) -> RunFolder:
        """Train generator ``G``."""
        train_generator("G", self.params(tokenizer or {}, changes or {}, **sections), self.workspace)
        return self.workspace.generator("G")

    @property
    def data(self) -> PreparedData:
        """The images."""
        return PreparedData.open(self.workspace.data)

    def store_teacher_features(self, **summary: object) -> None:
        """Random features, as if the stage ``teacher`` had run."""
        folder = self.workspace.teacher
        folder.mkdir(exist_ok=True)
        shape = (len(self.data.train), 16, TEACHER_DIM)
        np.save(folder / "features.npy", np.random.default_rng(0).normal(size=shape).astype(np.float16))
        values = {
            "name": "efficientnet-lite0", "sha256": "0", "dim": TEACHER_DIM, "grid": 4, "image_size": 128,
            "cached": True, "data_sha256": self.data.summary.data_sha256, **summary,
        }  # fmt: skip
        write_json(folder / "summary.json", values)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``runs/data`` of small pictures: ``none`` (packed) and ``crop-flip``, by augmentation."""
    folder = tmp_path_factory.mktemp("prepared")
    source = image_folder(folder / "in", {"a": 12, "b": 12})
    for augmentation in ("none", "crop-flip"):
        settings = section(source, validation_fraction=0.25, augmentation=augmentation)
        prepare(settings, BASE, folder / augmentation)
    return {name: folder / name for name in ("none", "crop-flip")}


@pytest.fixture
def new_project(prepared: dict[str, Path], tmp_path: Path) -> Callable[..., Project]:
    """Makes projects with nothing but images in them."""

    def make(name: str = "project", augmentation: str = "none") -> Project:
        shutil.copytree(prepared[augmentation], tmp_path / name / "runs" / "data")
        return Project(tmp_path / name)

    return make


@pytest.fixture
def project(new_project: Callable[..., Project]) -> Project:
    """A project with nothing but images in it."""
    return new_project()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Training sets the number of threads: put it back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def same_results() -> Callable[[RunFolder, RunFolder], None]:
    """Compares what two runs stored, bit by bit."""

    def compare(first: RunFolder, second: RunFolder) -> None:
        weights, others = load_weights(first.weights_path), load_weights(second.weights_path)
        assert weights.keys() == others.keys()
        assert [name for name in weights if not torch.equal(weights[name], others[name])] == []
        assert first.curves_path.read_bytes() == second.curves_path.read_bytes()
        assert json.loads(first.curves_path.read_text())
        if first.indices_path.exists():
            assert first.indices_path.read_bytes() == second.indices_path.read_bytes()

    return compare
