"""Released GigaTok and LlamaGen-1d checkpoints, name by name: nothing missing, nothing unused.

The networks are built on the meta device and take the checkpoint's tensors as they are, so loading needs
memory for the weights once.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from gigatok.artifacts.weights import require_sound
from gigatok.config import GigatokError, TokenizerConfig, TransformerSize
from gigatok.interop.files import StateDict, read_checkpoint, state_in
from gigatok.interop.names import PREFIXES, official_name, official_shape
from gigatok.interop.official_ar import convert_ar
from gigatok.models import AR_MODELS, TOKENIZERS, ArModel, Tokenizer
from gigatok.runtime.shapes import without_values

UNUSED = {"quantize.codebook_used": "ring buffer of past indices, a statistic of the training process"}
"""Official tensors that no network of ours needs, and why."""

HEAD_WIDTH = 64
"""Width of every official attention head: state dicts do not tell the number of heads."""


def load_tokenizer(source: Mapping[str, Any] | Path | str, name: str | None = None) -> Tokenizer:
    """A released tokenizer in eval mode.

    Args:
        source: a file, its content, or the official state dict itself; ``ema`` is preferred over ``model``.
            Tensors are used in place, not copied: the module shares memory with a dict passed here.
        name: which size it must be, e.g. ``"B-L"``; ``None`` takes what it is. Block and alignment MLP always
            follow from the keys (released S-S-2d has Q-Former blocks).

    Raises:
        GigatokError: unreadable or unsafe file; tensors missing, unknown, of another shape, not finite or not of
            floating-point numbers; another size.
    """
    state = _state(source, ("ema", "model"))
    expected = _known(TOKENIZERS, name) if name is not None else None
    if expected is not None:  # before any tensor is copied: a file may hold far more than its size says
        config = infer_config(state, expected)
        found = (config.layout, config.encoder, config.decoder)
        if found != (expected.layout, expected.encoder, expected.decoder):
            raise GigatokError(
                f"the checkpoint is no {name}: it has layout {config.layout}, "
                f"encoder {_size(config.encoder)}, decoder {_size(config.decoder)}; pass that size's name"
            )
    config, converted = convert_tokenizer(state, expected)
    with without_values():
        tokenizer = Tokenizer(config)
    tokenizer.load_state_dict(converted, assign=True)
    return tokenizer.eval()


def load_ar(source: Mapping[str, Any] | Path | str, name: str | None = None) -> ArModel:
    """A released AR model in eval mode. As ``load_tokenizer``, but official sampling uses ``model``."""
    expected = _known(AR_MODELS, name) if name is not None else None
    state = _state(source, ("model", "ema"))
    config, converted = convert_ar(state)
    if expected is not None and (config.width, config.depth) != (expected.width, expected.depth):
        raise GigatokError(
            f"the checkpoint is no {name}: it has width {config.width}, depth {config.depth}; "
            "pass the name of its own size"
        )
    require_sound(converted, "the checkpoint")
    with without_values():
        model = ArModel(config)
    model.load_state_dict({key: tensor.float() for key, tensor in converted.items()}, assign=True)
    return model.eval()


def convert_tokenizer(
    state: StateDict, like: TokenizerConfig | None = None
) -> tuple[TokenizerConfig, dict[str, Tensor]]:
    """Config and our state dict of an official one. Tensors are views, not copies, where they are fp32.

    ``like`` gives what no tensor shows: aligned block and gradient of the quantizer.
    """
    config = infer_config(state, like)
    with without_values():
        wanted = Tokenizer(config).state_dict()
    official = {official_name(name, config): name for name in wanted}
    _require_same_names(set(official), set(state) - set(UNUSED))
    for theirs, ours in official.items():
        shape = official_shape(ours, tuple(wanted[ours].shape))
        if tuple(state[theirs].shape) != shape:
            raise GigatokError(
                f"{theirs} has shape {tuple(state[theirs].shape)}, not {shape}: "
                "the checkpoint is damaged or of another architecture"
            )
    require_sound({theirs: state[theirs] for theirs in official}, "the checkpoint")
    return config, {ours: state[theirs].reshape(wanted[ours].shape).float() for theirs, ours in official.items()}


def export_tokenizer(tokenizer: Tokenizer) -> dict[str, Tensor]:
    """The official state dict of a tokenizer of ours, without training statistics. Tensors are views."""
    return {
        official_name(name, tokenizer.config): tensor.reshape(official_shape(name, tuple(tensor.shape)))
        for name, tensor in tokenizer.state_dict().items()
    }


def infer_config(state: StateDict, like: TokenizerConfig | None = None) -> TokenizerConfig:
    """Architecture of an official state dict: layout and block from its keys, sizes from its shapes."""
    found = [layout for layout, (encoder, _) in PREFIXES.items() if f"{encoder}ln_pre.weight" in state]
    if len(found) != 1:
        raise GigatokError(
            "this is no official GigaTok tokenizer: keys must start with exactly one of "
            + ", ".join(repr(encoder) for encoder, _ in PREFIXES.values())
        )
    layout = found[0]
    encoder, decoder = PREFIXES[layout]
    like = like or TOKENIZERS["S-S"]
    cross = any(".multihead_attn." in key for key in state)
    latent = f"{encoder}latent_token_positional_embedding"
    mlp_out = f"{decoder}distill_mlp.4.weight"
    codebook_size, codebook_dim = _shape(state, "quantize.embedding.weight", 2)
    positions = _shape(state, f"{encoder}positional_embedding", 3)[0]
    try:
        return TokenizerConfig(
            layout=layout,
            block="qformer" if cross or layout == "1d" else "plain",
            image_size=round(positions**0.5) * like.cnn.downsample,
            num_tokens=_shape(state, latent, 3)[0] if layout == "1d" else None,
            encoder=_infer_size(state, encoder, "encoder_embed"),
            decoder=_infer_size(state, decoder, "decoder_embed"),
            codebook_size=codebook_size,
            codebook_dim=codebook_dim,
            quantizer_gradient=like.quantizer_gradient,
            alignment_layer=like.alignment_layer if mlp_out in state else None,
            alignment_dim=_shape(state, mlp_out, 2)[0] if mlp_out in state else like.alignment_dim,
        )
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise GigatokError(f"these shapes are of no official GigaTok tokenizer: {reason}") from None


def _infer_size(state: StateDict, prefix: str, embed: str) -> TransformerSize:
    width = _shape(state, f"{prefix}{embed}.weight", 2)[0]
    blocks = {key.split(".")[2] for key in state if key.startswith(f"{prefix}transformer.")}
    if width % HEAD_WIDTH or not blocks:
        raise GigatokError(
            f"{prefix}: width {width} with {len(blocks)} blocks is no official transformer: "
            f"widths are multiples of {HEAD_WIDTH}"
        )
    return TransformerSize(width=width, depth=len(blocks), heads=width // HEAD_WIDTH)


def _shape(state: StateDict, key: str, axes: int) -> tuple[int, ...]:
    if key not in state or state[key].dim() != axes:
        raise GigatokError(f"{key} is missing or has not {axes} axes: this is no official GigaTok tokenizer")
    return tuple(state[key].shape)


def _state(source: Mapping[str, Any] | Path | str, preferred: tuple[str, ...]) -> dict[str, Tensor]:
    content = source if isinstance(source, Mapping) else read_checkpoint(source)
    return state_in(content, preferred).tensors


def _known(models: Mapping[str, Any], name: str) -> Any:
    if name not in models:
        raise GigatokError(f"model {name!r} is unknown: use one of {', '.join(models)}")
    return models[name]


def _size(size: TransformerSize) -> str:
    return f"{size.width} wide and {size.depth} deep"


def _require_same_names(wanted: set[str], found: set[str]) -> None:
    """Refuse a state dict that lacks names or has others."""
    for names, what in ((wanted - found, "lacks"), (found - wanted, "has unknown")):
        if names:
            shown = ", ".join(sorted(names)[:5]) + (" ..." if len(names) > 5 else "")
            raise GigatokError(
                f"the checkpoint {what} {len(names)} tensors ({shown}): it is damaged or of another architecture"
            )
