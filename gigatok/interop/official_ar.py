"""Official AR state dicts (LlamaGen-1d as released with GigaTok) under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import ValidationError
from torch import Tensor

from gigatok.config import ArConfig, GigatokError
from gigatok.config.bounds import DEEPEST
from gigatok.models.ar import ffn_width

HEAD_WIDTH = 64
"""Width of an attention head in every official size (SPEC): the one number that shapes do not tell."""
FFN_MULTIPLE_OF = 256
_MATRICES = ("embedding", "embedding_table.weight", "tok_embeddings.weight", "w1.weight")
"""Ends of the names of the tensors that sizes are read off."""

_IN_LAYER = re.compile(r"layers\.([0-9]+)\.")
_TOP = {
    "positional_embedding": "positional_embedding",
    "cls_embedding.embedding_table.weight": "class_embedding.weight",
    "tok_embeddings.weight": "token_embedding.weight",
    "norm.weight": "norm.weight",
    "output.weight": "head.weight",
}
_LAYER = {
    "attention_norm.weight": "attention_norm.weight",
    "attention.wqkv.weight": "attention.qkv.weight",
    "attention.wo.weight": "attention.out.weight",
    "ffn_norm.weight": "ffn_norm.weight",
    "feed_forward.w1.weight": "ffn.gate.weight",
    "feed_forward.w3.weight": "ffn.up.weight",
    "feed_forward.w2.weight": "ffn.down.weight",
}


def convert_ar(state: Mapping[str, Tensor]) -> tuple[ArConfig, dict[str, Tensor]]:
    """The model's shape, read off the tensors, and the same tensors (not copied) under our names.

    Raises:
        GigatokError: names are missing or unknown, or shapes contradict one another; all are listed. Or the shapes are
            of no AR model that can be built.
    """
    depth = len({found[1] for found in map(_IN_LAYER.match, state) if found})  # their numbers may say anything
    if depth > DEEPEST:
        raise GigatokError(f"not an official AR state dict: it has {depth} layers, more than {DEEPEST}")
    names = dict(_TOP)
    for layer in range(depth):
        names.update({f"layers.{layer}.{old}": f"blocks.{layer}.{new}" for old, new in _LAYER.items()})
    missing, unknown = sorted(names.keys() - state.keys()), sorted(state.keys() - names.keys())
    if missing or unknown or not depth:
        raise GigatokError(
            f"not an official AR state dict ({depth} layers): missing {_listed(missing)}; unknown {_listed(unknown)}"
        )
    flat = sorted(name for name in names if name.endswith(_MATRICES) and state[name].ndim != 2)
    if flat:
        raise GigatokError(f"tensors of an official AR state dict are not matrices: {_listed(flat)}")
    config = _config(state, depth)
    _check_shapes(state, config)
    return config, {ours: state[official] for official, ours in names.items()}


def _config(state: Mapping[str, Tensor], depth: int) -> ArConfig:
    codes, width = state["tok_embeddings.weight"].shape
    hidden = state["layers.0.feed_forward.w1.weight"].shape[0]
    if not width or width % HEAD_WIDTH:
        raise GigatokError(f"width {width} of tok_embeddings.weight is not a multiple of {HEAD_WIDTH} (a head)")
    standard = hidden == ffn_width(width, FFN_MULTIPLE_OF)
    try:
        return ArConfig(
            width=width,
            depth=depth,
            heads=width // HEAD_WIDTH,
            ffn_multiple_of=FFN_MULTIPLE_OF if standard else hidden,
            codebook_size=codes,
            num_tokens=state["positional_embedding"].shape[0] - 1,
            num_classes=state["cls_embedding.embedding_table.weight"].shape[0] - 1,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "sizes"
        raise GigatokError(f"these shapes are of no official AR model: {where}: {first['msg']}") from None


def _check_shapes(state: Mapping[str, Tensor], config: ArConfig) -> None:
    """Every tensor must have the shape that the inferred config gives it."""
    width, hidden = config.width, ffn_width(config.width, config.ffn_multiple_of)
    layer = {
        "attention_norm.weight": (width,),
        "attention.wqkv.weight": (3 * width, width),
        "attention.wo.weight": (width, width),
        "ffn_norm.weight": (width,),
        "feed_forward.w1.weight": (hidden, width),
        "feed_forward.w3.weight": (hidden, width),
        "feed_forward.w2.weight": (width, hidden),
    }
    expected: dict[str, tuple[int, ...]] = {
        "positional_embedding": (config.num_tokens + 1, width),
        "cls_embedding.embedding_table.weight": (config.num_classes + 1, width),
        "tok_embeddings.weight": (config.codebook_size, width),
        "norm.weight": (width,),
        "output.weight": (config.codebook_size, width),
    }
    for number in range(config.depth):
        expected.update({f"layers.{number}.{name}": shape for name, shape in layer.items()})
    wrong = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if tuple(state[name].shape) != shape
    ]
    if wrong:
        raise GigatokError(f"shapes of an official AR state dict do not fit together: {_listed(wrong)}")


def _listed(items: list[str], shown: int = 8) -> str:
    """``items`` in one line, cut after a few."""
    if not items:
        return "nothing"
    rest = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + rest
