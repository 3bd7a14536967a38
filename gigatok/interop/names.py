"""Official parameter names and shapes of our tokenizers' parameters."""

from __future__ import annotations

import re
from typing import Literal

from gigatok.config import TokenizerConfig

_ATTENTION = [
    (r"\.qkv\.(weight|bias)$", r".in_proj_\1"),
    (r"\.out\.(weight|bias)$", r".out_proj.\1"),
    (r"\.self_attention\.", ".self_attn."),
    (r"\.cross_attention\.", ".multihead_attn."),
]
_BLOCK = [
    (r"\.blocks\.", ".transformer."),
    (r"\.norm_self\.", ".norm1."),
    (r"\.norm_cross\.", ".norm2."),
    (r"\.ffn\.up\.", ".linear1."),
    (r"\.ffn\.down\.", ".linear2."),
]
_SHELL = [
    (r"\.norm_in\.", ".ln_pre."),
    (r"\.norm_out\.", ".ln_post."),
    (r"\.project\.", ".conv_out."),
    (r"\.query_proj\.", ".global_proj."),
    (r"\.positions$", ".positional_embedding"),
]
_CNN = [
    (r"\.levels\.(\d+)\.adaptive\.", r".adaptive.\1."),
    (r"\.levels\.(\d+)\.blocks\.", r".conv_blocks.\1.res."),
    (r"\.levels\.(\d+)\.downsample\.", r".conv_blocks.\1.downsample.conv."),
    (r"\.levels\.(\d+)\.upsample\.", r".conv_blocks.\1.upsample.conv1."),
    (r"\.shortcut\.", ".nin_shortcut."),
]
_CODES = [
    (r"^to_code\.", "quant_conv."),
    (r"^from_code\.", "post_quant_conv."),
    (r"^quantizer\.codebook$", "quantize.embedding.weight"),
]
PREFIXES: dict[Literal["1d", "2d"], tuple[str, str]] = {
    "1d": ("s2to1encoder.", "s1to2decoder."),
    "2d": ("s2dencoder.", "s2ddecoder."),
}
"""Official names of transformer encoder and decoder, by layout."""


def official_name(name: str, config: TokenizerConfig) -> str:
    """Official name of parameter ``name`` of ``Tokenizer(config)``."""
    encoder, decoder = PREFIXES[config.layout]
    if name.startswith("transformer_"):
        own, latent = "positional_embedding", "latent_token_positional_embedding"
        in_encoder = name.startswith("transformer_encoder.")
        rules = [
            (r"^transformer_encoder\.", encoder),
            (r"^transformer_decoder\.", decoder),
            (r"\.embed\.", ".encoder_embed." if in_encoder else ".decoder_embed."),
            (r"\.norm_ffn\.", ".norm2." if config.block == "plain" else ".norm3."),
            # "positional_embedding" is the map's, which the encoder reads and the decoder writes.
            (r"\.memory_positions$", f".{own if in_encoder else latent}"),
            (r"\.query_positions$", f".{latent if in_encoder else own}"),
            *_ATTENTION,
            *_BLOCK,
            *_SHELL,
        ]
    elif name.startswith("cnn_"):
        rules = [(r"^cnn_", ""), *_CNN]
    else:
        rules = [(r"^alignment\.", f"{decoder}distill_mlp."), *_CODES]
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def official_shape(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Official shape of our ``name``: positions have a batch axis, 1x1 convolutions two more axes."""
    if name.endswith("positions"):
        return (shape[0], 1, shape[1])
    if name in ("to_code.weight", "from_code.weight", "transformer_encoder.project.weight"):
        return (*shape, 1, 1)
    return shape
