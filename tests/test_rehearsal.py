"""Profile ``paper`` on two processes with its networks in small: every kind of stage, loss and discriminator it has.

Weights that would be downloaded are random ones of the published shapes, so scores mean nothing here: what is proved is
that the recipes run to their end, sharded, in bf16, from folders of JPEGs, one of them compiled, and that all that
reads their results can.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from project_clone import Clone
from torch import nn

from gigatok.config.profiles import render
from gigatok.evaluation.extractors.inception import _build
from gigatok.models.discriminator_dino import BACKBONE

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.skipif("GIGATOK_REHEARSAL" not in os.environ, reason="eight minutes: make rehearsal"),
]

CLASSES = ("n01440764", "n01443537", "n01484850")
SIDE = 64
"""Of the images; the paper's CNN makes 4x4 positions of it."""
WIDTHS = {"S": 16, "B": 16, "L": 32, "XL": 32, "XXL": 48}
TOKENIZERS = ("S-S", "XL-XXL", "S-S-no-sem", "B-L-dino-disc")
GENERATORS = {
    "S-S": {"tokenizer": "S-S"},
    "XL-XXL": {"tokenizer": "XL-XXL"},
    "XL-XXL-GPT-XXL": {"tokenizer": "XL-XXL", "size": "GPT-XXL"},
}


def pictures(folder: Path) -> Path:
    """ImageNet's layout: three classes of 40 and 16 JPEGs, of about 120 x 100."""
    generator = np.random.default_rng(0)
    for side, count in (("train", 40), ("val", 16)):
        for name in CLASSES:
            (folder / side / name).mkdir(parents=True)
            for number in range(count):
                coarse = Image.fromarray(generator.integers(0, 256, (6, 7, 3), dtype=np.uint8))
                size = (int(generator.integers(90, 140)), int(generator.integers(80, 120)))
                coarse.resize(size, Image.Resampling.BICUBIC).save(folder / side / name / f"{name}_{number}.JPEG")
    return folder


def weights(folder: Path) -> dict[str, str]:
    """Random weights of the teacher, the judge, the perceptual network and the DINO discriminator, by name."""
    import timm
    from torchvision.models import vgg16

    torch.manual_seed(0)
    networks: dict[str, Callable[[], nn.Module]] = {
        "teacher": lambda: timm.create_model("vit_base_patch14_dinov2.lvd142m", num_classes=0),
        "dino": lambda: timm.create_model(BACKBONE, num_classes=0),
        "perceptual": vgg16,
        "judge": _build,
    }
    folder.mkdir()
    for name, build in networks.items():
        torch.save(build().state_dict(), folder / f"{name}.pth")
    return {name: str(folder / f"{name}.pth") for name in networks}


def in_small(images: Path, files: dict[str, str]) -> dict[str, Any]:
    """The settings of profile ``paper`` with small networks and six steps; they call themselves ``smoke``, since
    ``paper`` asks for a GPU."""
    values: dict[str, Any] = yaml.safe_load(render("paper", "core"))
    values["profile"] = "smoke"
    values["base"] |= {"device": "cpu", "threads": 1}
    values["prepare"] |= {"path": str(images), "image_size": SIDE}
    values["teacher"] |= {"weights": files["teacher"], "image_size": 14 * SIDE // 16, "batch_size": 8}
    values["reference"] |= {"weights": files["judge"], "more_extractors": [], "batch_size": 8, "kmeans_iterations": 2}
    tokenizer, generator = values["train_tokenizer"], values["train_generator"]
    short = {"steps": 6, "batch_size": 8, "log_every": 2, "save_every": 3}
    tokenizer |= {**short, "sample_every": 3, "workers": 1}
    tokenizer["model"] |= {
        "num_tokens": 16,
        "codebook_size": 64,
        "sizes": {name: {"width": width, "depth": 3, "heads": width // 16} for name, width in WIDTHS.items()},
    }
    tokenizer["model"]["cnn"] |= {"channels": 8, "latent_channels": 16, "groups": 4}
    tokenizer["loss"]["perceptual_weights"] = files["perceptual"]
    tokenizer["loss"]["shortcut"] |= {"image_end_step": 3, "feature_end_step": 4}
    tokenizer["loss"]["discriminator"] |= {"start_step": 2, "channels": 8, "layers": 2}
    generator |= {**short, "validate_every": 3}
    generator["sizes"] = {name: {"width": 32, "depth": 2, "heads": 2} for name in generator["sizes"]}
    generator["optimizer"]["warmup_steps"] = 2
    values["evaluate_tokenizer"]["batch_size"] = 8
    values["evaluate_generator"] |= {"samples": 60, "batch_size": 8}
    values["launch"] = {"processes": 2, "strategy": "fsdp", "recompute": "blocks", "micro_batch": 4}
    values["tracking"]["enabled"] = False
    entries = {name: values["tokenizers"][name] for name in TOKENIZERS}
    for entry in entries.values():
        for long in ("steps", "batch_size", "optimizer"):
            entry.get("overrides", {}).pop(long, None)
    entries["XL-XXL"]["overrides"]["keep_steps"] = [3]
    dino = entries["B-L-dino-disc"]
    dino["overrides"] |= {"batch_size": 16, "ema_decay": 0.9}
    dino["overrides"]["loss"]["discriminator"] |= {"start_step": 2, "weights": files["dino"]}
    dino["launch"] = {"micro_batch": 8}
    entries["S-S-no-sem"]["launch"] = {"compile": True}  # one: a compiler takes minutes
    return values | {"tokenizers": entries, "generators": GENERATORS}


def test_the_papers_recipes_run_to_their_end_on_two_processes(tmp_path: Path) -> None:
    clone = Clone(tmp_path / "clone")
    settings = in_small(pictures(tmp_path / "imagenet"), weights(tmp_path / "weights"))
    (clone.folder / "params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    clone.cli("repro", "--jobs", "1")
    for kind, names in (("tokenizers", TOKENIZERS), ("generators", GENERATORS)):
        for name in names:
            scores = clone.sheet(kind, name)["scores"]
            assert len(scores) > 5, name
            assert all(math.isfinite(score["value"]) for score in scores), name
    assert (clone.folder / "reports" / "index.html").exists()
