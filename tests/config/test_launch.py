"""Section ``launch``: what cannot be shared evenly is refused before anything is loaded."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gigatok.config import ConfigError, Params, load_params, parse_params
from gigatok.config.launch import LaunchSection, require_divisible, require_spread
from gigatok.config.params import merge


def params(**changes: Any) -> Params:
    return parse_params(merge(yaml.safe_load(open("params.yaml")), changes))


def check(launch: dict[str, Any], world: int, **training: Any) -> None:
    adversary = {"loss": {"adversarial_weight": 0.1, "discriminator": {"start_step": 1}}}
    settings = params(train_tokenizer=merge({"batch_size": 16, **adversary}, training))
    require_divisible(LaunchSection(**launch), settings.tokenizer_training("S-S"), world, "tokenizer S-S")


def test_one_process_is_the_default_and_needs_nothing() -> None:
    launch = load_params().tokenizer_launch("S-S")
    assert (launch.processes, launch.nodes, launch.micro_batch) == (1, 1, None)
    check({}, 1)


def test_a_model_overrides_what_all_share() -> None:
    settings = params(
        launch={"processes": 2, "recompute": "blocks"},
        tokenizers={"B-L": {"launch": {"processes": 8}}},
        generators={"S-S": {"launch": {"strategy": "fsdp"}}},
    )
    assert settings.tokenizer_launch("B-L").processes == 8
    assert settings.tokenizer_launch("B-L").recompute == "blocks"
    assert settings.tokenizer_launch("S-S").processes == 2
    assert settings.generator_launch("S-S").strategy == "fsdp"


@pytest.mark.parametrize(
    ("launch", "world", "training", "words"),
    [
        ({}, 3, {}, "batch_size 16 of tokenizer S-S is not a multiple of its 3 processes"),
        ({"micro_batch": 3}, 2, {}, "launch.micro_batch 3 of tokenizer S-S does not divide the 8 images"),
        ({}, 2, {}, "loss.discriminator.statistics_group of tokenizer S-S takes statistics over the whole batch"),
        ({"micro_batch": 8}, 1, {}, "over the whole batch, but a pass holds 8 images"),
        (
            {"micro_batch": 2},
            2,
            {"loss": {"discriminator": {"statistics_group": 4}}},
            "statistics_group of tokenizer S-S takes statistics over groups of 4 images, but a pass holds 2",
        ),
        (
            {},
            2,
            {"loss": {"entropy_weight": 0.1, "discriminator": {"statistics_group": 4}}},
            "loss.entropy_group of tokenizer S-S takes statistics over the whole batch",
        ),
        ({}, 4, {"loss": {"discriminator": {"kind": "dino"}}}, "over groups of 8 images, but a pass holds 4"),
    ],
)
def test_what_does_not_fit_is_named(launch: dict[str, Any], world: int, training: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("(", r"\(")) as error:
        check(launch, world, **training)
    assert "\n" not in str(error.value)


DINO = {"loss": {"discriminator": {"kind": "dino"}}}


@pytest.mark.parametrize(
    ("launch", "world", "training", "remedy", "mended"),
    [
        ({}, 4, DINO, "use 2 processes (launch.nodes x launch.processes), or set batch_size to a multiple of 32",
         [({}, 2, {}), ({}, 4, {"batch_size": 32})]),
        ({"micro_batch": 2}, 4, {**DINO, "batch_size": 48},
         "use 3 processes (launch.nodes x launch.processes), or set batch_size to a multiple of 32, and "
         "launch.micro_batch to a multiple of 8",
         [({"micro_batch": 8}, 3, {}), ({"micro_batch": 8}, 4, {"batch_size": 32})]),
        ({}, 2, {**DINO, "batch_size": 20}, "set batch_size to a multiple of 16", [({}, 2, {"batch_size": 16})]),
        ({"micro_batch": 4}, 1, DINO, "set launch.micro_batch to a multiple of 8 that divides 16",
         [({"micro_batch": 8}, 1, {})]),
        ({"micro_batch": 4}, 1, {**DINO, "batch_size": 20}, "remove launch.micro_batch", [({}, 1, {})]),
        ({}, 2, {}, "set it to a divisor of 8", [({}, 2, {"loss": {"discriminator": {"statistics_group": 4}}})]),
        ({"micro_batch": 2}, 2, {"loss": {"discriminator": {"statistics_group": 4}}},
         "set it to a divisor of 2, or launch.micro_batch to a multiple of 4 that divides 8",
         [({"micro_batch": 2}, 2, {"loss": {"discriminator": {"statistics_group": 2}}}), ({"micro_batch": 4}, 2, {})]),
        ({}, 4, {"loss": {"discriminator": {"statistics_group": 8}}}, "set it to a divisor of 4",
         [({}, 4, {"loss": {"discriminator": {"statistics_group": 4}}})]),
    ],
)  # fmt: skip
def test_the_remedy_that_is_named_works(
    launch: dict[str, Any],
    world: int,
    training: dict[str, Any],
    remedy: str,
    mended: list[tuple[dict[str, Any], int, dict[str, Any]]],
) -> None:
    """Groups of a DINO discriminator are fixed: no setting of theirs may be named."""
    with pytest.raises(ConfigError) as error:
        check(launch, world, **training)
    assert str(error.value).endswith(f": {remedy}")
    assert ("statistics_group" in str(error.value)) == (
        training.get("loss", {}).get("discriminator", {}).get("kind") is None
    )
    for other, processes, change in mended:
        check(other, processes, **merge(training, change))


@pytest.mark.parametrize(
    ("launch", "world", "training"),
    [
        ({"micro_batch": 4}, 2, {"loss": {"discriminator": {"statistics_group": 4}}}),
        ({}, 4, {"loss": {"discriminator": {"statistics_group": 2}, "entropy_weight": 0.1, "entropy_group": 4}}),
        ({"micro_batch": 2}, 4, {"loss": {"adversarial_weight": 0.0}}),
    ],
)
def test_what_fits_is_accepted(launch: dict[str, Any], world: int, training: dict[str, Any]) -> None:
    check(launch, world, **training)


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        ({"nodes": 2}, "launch: nodes 2 need rendezvous"),
        ({"processes": 0}, "launch: processes 0 is not auto or at least 1"),
        ({"strategy": "zero"}, "launch.strategy = 'zero'"),
        ({"micro_batch": 0}, "launch.micro_batch = 0"),
    ],
)
def test_settings_out_of_range_are_refused(launch: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        params(launch=launch)


def test_an_override_is_checked_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"tokenizers\.B-L\.launch: nodes 2 need rendezvous|nodes 2 need rendezvous"):
        params(tokenizers={"B-L": {"launch": {"nodes": 2}}})


def test_a_loss_in_fp16_is_not_scaled_over_shards() -> None:
    section = params(train_generator={"precision": "fp16", "batch_size": 16}).generator_training("S-S")
    with pytest.raises(ConfigError, match=r"^precision fp16 of generator S-S cannot be scaled over shards: use bf16"):
        require_spread(LaunchSection(strategy="fsdp"), section, 2, "generator S-S")
    for launch, world in (({"strategy": "fsdp"}, 1), ({"strategy": "ddp"}, 2), ({}, 2)):
        require_spread(LaunchSection(**launch), section, world, "generator S-S")
