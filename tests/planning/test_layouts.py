"""Ways to use GPUs: only what training takes is planned."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gigatok.config import Params, parse_params
from gigatok.config.launch import LaunchSection, require_spread
from gigatok.config.params import merge
from gigatok.config.profiles import render
from gigatok.planning.gpus import GPUS
from gigatok.planning.layouts import Cluster, LayoutPlan, Way, layout_plan
from gigatok.planning.memory import Layout, Strategy


class Fits:
    """A step of which so many images fit."""

    def __init__(self, images: int) -> None:
        self.images = images

    def largest_micro_batch(self, capacity: int, layout: Layout, most: int) -> int:
        return min(self.images, most)

    def by_part(self, layout: Layout) -> dict[str, int]:
        return {"weights": layout.micro_batch}


def params(**training: Any) -> Params:
    loss = {"adversarial_weight": 0.1, "discriminator": {"start_step": 1, "statistics_group": 4}}
    changes = {"train_tokenizer": merge({"batch_size": 48, "loss": loss}, training)}
    return parse_params(merge(yaml.safe_load(render("nano", "core")), changes))


def planned(strategy: Strategy, gpus: int, images: int, **training: Any) -> LayoutPlan:
    section, cluster = params(**training).tokenizer_training("S-S"), Cluster(gpu=GPUS["h100"], gpus=gpus)
    found = layout_plan(Fits(images), Way(strategy, "none"), section, cluster, "tokenizer S-S")  # type: ignore[arg-type]
    if not found.refused:
        launch = LaunchSection(strategy="auto" if strategy == "single" else strategy, micro_batch=found.micro_batch)
        require_spread(launch, section, found.processes, "tokenizer S-S")
    return found


@pytest.mark.parametrize(
    ("strategy", "gpus", "images", "micro_batch", "fits"),
    [
        ("single", 1, 100, 48, True),
        ("single", 1, 23, 16, True),  # 24 is one more than fit; 12 is a multiple of 4 too
        ("single", 1, 11, 8, True),
        ("ddp", 4, 100, 12, True),
        ("ddp", 4, 11, 4, True),  # 6 divides 12 and holds no whole groups
        ("ddp", 4, 3, 4, False),  # three images fit, but no group
        ("ddp", 4, 0, 4, False),
    ],
)
def test_the_micro_batch_is_one_that_training_takes(
    strategy: Strategy, gpus: int, images: int, micro_batch: int, fits: bool
) -> None:
    found = planned(strategy, gpus, images)
    assert (found.micro_batch, found.fits, found.refused) == (micro_batch, fits, "")
    assert found.largest_micro_batch == min(images, 48 // gpus)


def test_statistics_over_the_whole_batch_leave_one_pass_over_it() -> None:
    whole = {"loss": {"discriminator": {"statistics_group": None}}}
    assert planned("single", 1, 100, **whole).micro_batch == 48
    assert not planned("single", 1, 47, **whole).fits
    found = planned("ddp", 2, 100, **whole)
    assert not found.fits
    assert found.refused.startswith("loss.discriminator.statistics_group of tokenizer S-S takes statistics over the")


def test_what_cannot_be_shared_or_scaled_is_refused_with_the_reason() -> None:
    found = planned("ddp", 5, 100)
    assert (found.fits, found.as_json()["refused"]) == (False, found.refused)
    assert found.refused.startswith("batch_size 48 of tokenizer S-S is not a multiple of its 5 processes")
    assert planned("fsdp", 4, 100, precision="fp16").refused.startswith("precision fp16 of tokenizer S-S cannot be")
    assert planned("ddp", 4, 100, precision="fp16").fits
