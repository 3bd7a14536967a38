"""Sizes, seeds and shares have bounds wherever they come from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from gigatok.config import ArConfig, CnnConfig, ConfigError, TokenizerConfig, TransformerSize, parse_params
from gigatok.config.profiles import PROFILES, render

SMOKE: dict[str, Any] = yaml.safe_load(render("smoke"))
SIZE = {"width": 16, "depth": 1, "heads": 2}
ENTRY = ("S-S", "overrides")


def place(values: dict[str, Any], path: tuple[str, ...], value: object) -> dict[str, Any]:
    """``values`` with one setting replaced."""
    values = copy.deepcopy(values)
    inner = values
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value
    return values


OUT_OF_BOUNDS = [
    (("base", "seed"), -1),
    (("base", "seed"), 2**32),
    (("tokenizers", "S-S", "seed"), -3),
    (("generators", "S-S", "seed"), -3),
    (("evaluate_generator", "seeds"), [-1]),
    (("prepare", "image_size"), 10**6),
    (("train_tokenizer", "optimizer", "betas"), [0.9, 1.0]),
    (("train_tokenizer", "optimizer", "betas"), [-0.1, 0.9]),
    (("train_tokenizer", "optimizer", "learning_rate"), float("inf")),
    (("train_tokenizer", "loss", "l2_weight"), float("nan")),
    (("train_tokenizer", "model", "sizes", "S", "depth"), 10**6),
    (("train_tokenizer", "model", "sizes", "S", "width"), 2**20),
    (("train_tokenizer", "model", "cnn", "groups"), 0),
    (("train_tokenizer", "model", "cnn", "groups"), 3),
    (("train_tokenizer", "model", "cnn", "encoder_blocks"), -1),
    (("train_tokenizer", "model", "cnn", "multipliers"), []),
    (("train_tokenizer", "model", "cnn", "patch"), 0),
    (("train_tokenizer", "model", "codebook_size"), 1),
    (("train_tokenizer", "model", "num_tokens"), 0),
    (("train_tokenizer", "keep_steps"), [-5]),
    (("train_generator", "dropout"), 1.5),
    (("train_generator", "ffn_multiple_of"), 0),
    (("evaluate_generator", "cfg_start"), 2.0),
    (("generators", "S-S", "checkpoint"), -1),
    (("train_tokenizer", "loss", "discriminator", "layers"), 0),
]


@pytest.mark.parametrize(("path", "value"), OUT_OF_BOUNDS)
def test_settings_out_of_bounds_are_refused_by_name(path: tuple[str, ...], value: object) -> None:
    with pytest.raises(ConfigError, match=path[-1]):
        parse_params(place(SMOKE, path, value))


@pytest.mark.parametrize(("path", "value"), [item for item in OUT_OF_BOUNDS if item[0][0] == "train_tokenizer"])
def test_overrides_out_of_bounds_are_refused_too(path: tuple[str, ...], value: object) -> None:
    with pytest.raises(ConfigError, match="S-S"):
        parse_params(place(SMOKE, ("tokenizers", *ENTRY, *path[1:]), value))


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        (TransformerSize, {**SIZE, "depth": 10**9}),
        (TransformerSize, {**SIZE, "width": 10**9, "heads": 1}),
        (CnnConfig, {"groups": -8}),
        (CnnConfig, {"decoder_blocks": 10**6}),
        (TokenizerConfig, {"encoder": SIZE, "decoder": SIZE, "image_size": 2**20}),
        (TokenizerConfig, {"encoder": SIZE, "decoder": SIZE, "codebook_size": 2**40}),
        (TokenizerConfig, {"encoder": SIZE, "decoder": SIZE, "codebook_dim": 2**40}),
        (TokenizerConfig, {"encoder": SIZE, "decoder": SIZE, "alignment_dim": -1}),
        (ArConfig, {**SIZE, "num_classes": 0}),
        (ArConfig, {**SIZE, "num_tokens": 2**40}),
        (ArConfig, {**SIZE, "ffn_multiple_of": -256}),
    ],
)
def test_shapes_stored_with_a_model_have_the_same_bounds(section: type[Any], changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        section.model_validate(changes)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_within_them(profile: str) -> None:
    parse_params(yaml.safe_load(render(profile, "full" if profile == "nano" else "core")))


def test_names_are_ascii() -> None:
    with pytest.raises(ConfigError, match="may hold letters"):
        parse_params(place(SMOKE, ("tokenizers", "S²"), {"encoder": "S", "decoder": "S"}))
