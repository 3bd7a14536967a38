"""The paper's models by name (tables 1, 8 and 9), and how many parameters a model has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from torch import nn

from gigatok.config import ArConfig, ConfigError, Section, TokenizerConfig, TransformerSize
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer

S = TransformerSize(width=512, depth=6, heads=8)
B = TransformerSize(width=768, depth=12, heads=12)
L = TransformerSize(width=1024, depth=24, heads=16)
XL = TransformerSize(width=1280, depth=36, heads=20)
XXL = TransformerSize(width=1536, depth=48, heads=24)

TOKENIZERS: dict[str, TokenizerConfig] = {
    "S-S": TokenizerConfig(encoder=S, decoder=S),
    "S-B": TokenizerConfig(encoder=S, decoder=B),
    "B-S": TokenizerConfig(encoder=B, decoder=S),
    "S-L": TokenizerConfig(encoder=S, decoder=L),
    "B-L": TokenizerConfig(encoder=B, decoder=L),
    # Not in the paper: a size between B-L and XL-XXL.
    "L-XL": TokenizerConfig(encoder=L, decoder=XL),
    "XL-XXL": TokenizerConfig(encoder=XL, decoder=XXL),
    # The paper's 2D transformers are plain ones. The released S-S-2d has Q-Former blocks instead
    # (SPEC section 2); importing its file builds those.
    "S-S-2d": TokenizerConfig(encoder=S, decoder=S, layout="2d", block="plain"),
    "S-B-2d": TokenizerConfig(encoder=S, decoder=B, layout="2d", block="plain"),
    "B-L-2d": TokenizerConfig(encoder=B, decoder=L, layout="2d", block="plain"),
}
"""Tokenizers at paper scale, ``<encoder>-<decoder>``."""

AR_MODELS: dict[str, ArConfig] = {
    "GPT-B": ArConfig(width=768, depth=12, heads=12),
    "GPT-L": ArConfig(width=1024, depth=24, heads=16),
    "GPT-XL": ArConfig(width=1280, depth=36, heads=20),
    "GPT-XXL": ArConfig(width=1536, depth=48, heads=24),
}
"""LlamaGen-1d models at paper scale (table 8)."""

SectionT = TypeVar("SectionT", bound=Section)


def _configure(known: Mapping[str, SectionT], name: str, overrides: Mapping[str, Any]) -> SectionT:
    """The named config with ``overrides`` applied; unknown names and fields are refused."""
    if name not in known:
        raise ConfigError(f"model {name!r} is unknown: use one of {', '.join(known)}")
    try:
        return known[name].replace(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "overrides"
        raise ConfigError(f"{name}: {field}: {first['msg']}") from error


def build_tokenizer(name: str, **overrides: Any) -> Tokenizer:
    """A freshly initialised tokenizer of the paper, e.g. ``build_tokenizer("S-S", image_size=64)``.

    ``overrides`` are fields of ``TokenizerConfig``. Inside ``without_values`` nothing is allocated.
    """
    return Tokenizer(_configure(TOKENIZERS, name, overrides))


def build_ar(name: str, **overrides: Any) -> ArModel:
    """A freshly initialised AR model of the paper, e.g. ``build_ar("GPT-B", num_tokens=64)``.

    ``overrides`` are fields of ``ArConfig``. Inside ``without_values`` nothing is allocated.
    """
    return ArModel(_configure(AR_MODELS, name, overrides))


def parameters_by_part(module: nn.Module) -> dict[str, int]:
    """Parameters of each direct part of ``module``; a shared one counts once. Their sum is the total."""
    seen: set[int] = set()

    def count(parameters: list[nn.Parameter]) -> int:
        fresh = {id(parameter): parameter.numel() for parameter in parameters if id(parameter) not in seen}
        seen.update(fresh)
        return sum(fresh.values())

    own = {name: count([parameter]) for name, parameter in module.named_parameters(recurse=False)}
    parts = {name: count(list(part.parameters())) for name, part in module.named_children()}
    return {name: number for name, number in {**own, **parts}.items() if number}
