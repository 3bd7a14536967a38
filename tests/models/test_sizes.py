"""The paper's models by name: exact numbers of parameters, quick to build without memory."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest
import torch
from torch import nn

from gigatok.config import CnnConfig, ConfigError, TransformerSize
from gigatok.models import AR_MODELS, TOKENIZERS, build_ar, build_tokenizer, parameters_by_part
from gigatok.runtime.shapes import without_values

TOTALS = {
    "S-S": 136_073_227,
    "S-B": 232_399_627,
    "B-S": 224_861_195,
    "S-L": 532_849_163,
    "B-L": 621_637_131,
    "L-XL": 1_466_903_819,
    "XL-XXL": 2_893_970_443,
    "S-S-2d": 122_928_651,
    "S-B-2d": 197_132_555,
    "B-L-2d": 491_410_187,
    "GPT-B": 111_085_824,
    "GPT-L": 343_174_144,
    "GPT-XL": 775_028_480,
    "GPT-XXL": 1_411_367_424,
}


def parts(name: str, **overrides: Any) -> dict[str, int]:
    build = build_tokenizer if name in TOKENIZERS else build_ar
    with torch.device("meta"):
        return parameters_by_part(build(name, **overrides))


@pytest.mark.parametrize("name", TOTALS)
def test_totals_are_official(name: str) -> None:
    assert sum(parts(name).values()) == TOTALS[name]


def test_every_model_has_a_total() -> None:
    assert {*TOKENIZERS, *AR_MODELS} == set(TOTALS)


def test_released_s_s_2d_has_qformer_blocks() -> None:
    assert sum(parts("S-S-2d", block="qformer").values()) == 135_548_427


def test_table_1_counts_encoders() -> None:
    """Paper table 1, in millions, as SPEC section 2 reads it."""
    encoders = {name: parts(name)["transformer_encoder"] / 1e6 for name in ("S-S", "B-L", "L-XL", "XL-XXL")}
    assert {name: round(value, 2) for name, value in encoders.items()} == {
        "S-S": 26.01,
        "B-L": 114.80,
        "L-XL": 405.22,
        "XL-XXL": 947.55,
    }
    largest = parts("XL-XXL")
    assert round((largest["transformer_decoder"] + largest["alignment"]) / 1e6, 2) in (1869.98, 1869.99)


def test_counting_all_takes_seconds_and_no_memory() -> None:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for name in TOTALS:
        parts(name)
    assert time.process_time() - start < 5
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20 < 1  # GiB


def test_shared_parameters_count_once() -> None:
    shared = nn.Linear(3, 2)
    assert parameters_by_part(nn.ModuleDict({"a": shared, "b": shared, "c": nn.Linear(1, 1)})) == {"a": 8, "c": 2}


def test_without_values_shapes_are_those_of_real_models_and_others_are_filled_as_ever() -> None:
    size = TransformerSize(width=16, depth=1, heads=2)
    cnn = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=16, groups=4)
    overrides = {"image_size": 16, "cnn": cnn, "encoder": size, "decoder": size, "alignment_layer": 1}
    with without_values():
        shapes = build_tokenizer("S-S", **overrides)
        torch.manual_seed(0)
        filled = nn.init.normal_(torch.empty(3, device="cpu"))
    real = build_tokenizer("S-S", **overrides)
    torch.manual_seed(0)
    assert torch.equal(filled, torch.randn(3))
    assert all(tensor.is_meta for tensor in shapes.state_dict().values())
    of_each = [{name: (value.shape, value.dtype) for name, value in m.state_dict().items()} for m in (shapes, real)]
    assert of_each[0] == of_each[1]


def test_overrides_reach_the_config() -> None:
    with torch.device("meta"):
        tokenizer = build_tokenizer("S-S", image_size=64, codebook_size=256)
    assert (tokenizer.config.tokens, tokenizer.config.codebook_size) == (16, 256)
    assert tokenizer.quantizer.codebook.shape == (256, 8)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("S-M", {}, "'S-M' is unknown: use one of S-S"),
        ("S-S", {"image_sise": 64}, "S-S: image_sise"),
        ("S-S", {"image_size": 100}, "100 is not a multiple"),
    ],
)
def test_unknown_names_and_fields_are_refused(name: str, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_tokenizer(name, **overrides)
