"""Conversion of official AR state dicts: strict, complete, sizes from shapes."""

from __future__ import annotations

import formula
import pytest
import torch
from torch import Tensor

from gigatok.config import GigatokError
from gigatok.interop.official_ar import convert_ar
from gigatok.models.ar import ArModel


def official_shapes(width: int = 128, depth: int = 2, hidden: int = 512) -> dict[str, tuple[int, ...]]:
    """Names and shapes as the official code would give a model of these sizes."""
    layer = {
        "attention.wqkv.weight": (3 * width, width),
        "attention.wo.weight": (width, width),
        "feed_forward.w1.weight": (hidden, width),
        "feed_forward.w3.weight": (hidden, width),
        "feed_forward.w2.weight": (width, hidden),
        "attention_norm.weight": (width,),
        "ffn_norm.weight": (width,),
    }
    return {
        "positional_embedding": (17, width),
        "cls_embedding.embedding_table.weight": (8, width),
        "tok_embeddings.weight": (64, width),
        **{f"layers.{number}.{name}": shape for number in range(depth) for name, shape in layer.items()},
        "norm.weight": (width,),
        "output.weight": (64, width),
    }


@pytest.fixture
def state() -> dict[str, Tensor]:
    return formula.state_dict(official_shapes())


def test_sizes_come_from_the_shapes(state: dict[str, Tensor]) -> None:
    config, _ = convert_ar(state)
    assert (config.width, config.depth, config.heads) == (128, 2, 2)
    assert (config.codebook_size, config.num_tokens, config.num_classes) == (64, 16, 7)
    assert config.ffn_multiple_of == 256


def test_other_feed_forward_widths_are_kept() -> None:
    config, ours = convert_ar(formula.state_dict(official_shapes(hidden=400)))
    with torch.device("meta"):
        model = ArModel(config)
    assert model.blocks[0].ffn.gate.weight.shape == ours["blocks.0.ffn.gate.weight"].shape == (400, 128)


def test_every_tensor_is_used_once_and_none_is_copied(state: dict[str, Tensor]) -> None:
    config, ours = convert_ar(state)
    with torch.device("meta"):
        expected = {name: tensor.shape for name, tensor in ArModel(config).state_dict().items()}
    assert {name: tensor.shape for name, tensor in ours.items()} == expected
    assert {tensor.data_ptr() for tensor in ours.values()} == {tensor.data_ptr() for tensor in state.values()}


def test_stored_official_names_are_all_known() -> None:
    shapes = formula.shapes("GPT-B")
    with torch.device("meta"):
        config, ours = convert_ar({name: torch.empty(shape) for name, shape in shapes.items()})
    assert len(ours) == len(shapes)
    assert (config.width, config.depth, config.heads, config.num_classes) == (768, 12, 12, 1000)


def test_missing_and_unknown_names_are_listed(state: dict[str, Tensor]) -> None:
    del state["layers.1.ffn_norm.weight"]
    state["freqs_cis"] = torch.zeros(2)
    with pytest.raises(GigatokError, match=r"missing layers\.1\.ffn_norm\.weight; unknown freqs_cis"):
        convert_ar(state)


def test_a_missing_layer_is_noticed(state: dict[str, Tensor]) -> None:
    without = {name: tensor for name, tensor in state.items() if not name.startswith("layers.0.")}
    with pytest.raises(GigatokError, match=r"missing layers\.0\."):
        convert_ar(without)


@pytest.mark.parametrize("name", ["output.weight", "layers.1.attention.wo.weight", "norm.weight"])
def test_shapes_that_contradict_one_another_are_refused(state: dict[str, Tensor], name: str) -> None:
    state[name] = state[name][:-1]
    with pytest.raises(GigatokError, match=name.replace(".", r"\.")):
        convert_ar(state)


def test_sizes_that_no_official_model_has_are_refused(state: dict[str, Tensor]) -> None:
    with pytest.raises(GigatokError, match="width 100"):
        convert_ar(formula.state_dict(official_shapes(width=100)))
    state["tok_embeddings.weight"] = state["tok_embeddings.weight"][0]
    with pytest.raises(GigatokError, match=r"not matrices: tok_embeddings\.weight"):
        convert_ar(state)


@pytest.mark.parametrize("number", ["4000000000", "9" * 5000, "\N{SUPERSCRIPT TWO}"])
def test_the_number_in_a_name_asks_for_no_memory(state: dict[str, Tensor], number: str) -> None:
    state[f"layers.{number}.x"] = torch.zeros(1)
    with pytest.raises(GigatokError, match=r"unknown .*layers\."):
        convert_ar(state)


def test_more_layers_than_any_model_has_are_refused() -> None:
    with pytest.raises(GigatokError, match="600 layers, more than 512"):
        convert_ar({f"layers.{number}.x": torch.zeros(1) for number in range(600)})


@pytest.mark.parametrize(
    ("name", "field"),
    [("positional_embedding", "num_tokens"), ("cls_embedding.embedding_table.weight", "num_classes")],
)
def test_shapes_that_no_model_can_have_are_refused_in_one_line(state: dict[str, Tensor], name: str, field: str) -> None:
    state[name] = state[name][:1]
    with pytest.raises(GigatokError, match=rf"of no official AR model: {field}: "):
        convert_ar(state)


def test_something_else_is_refused() -> None:
    with pytest.raises(GigatokError, match="not an official AR state dict"):
        convert_ar({"encoder.conv_in.weight": torch.zeros(1)})
