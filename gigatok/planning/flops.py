"""Floating-point operations of the networks, from their shapes alone.

A multiplication and an addition are two operations. Counted are matrix products, convolutions and attention, as
torch's own counter counts them; norms, activations and losses are a few in a hundred beside them. Nothing is built and
torch is not loaded: the command line orders its work by these numbers.

Letters: N tokens, M positions of the map, D width of a transformer, C channels of the map, K codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from gigatok.config import ArConfig, CnnConfig, Params, TokenizerConfig, TransformerSize

TRAINING = 3
"""Operations of a training step beside those of its forward pass: the backward pass takes twice as many."""
FFN_RATIO = 4
"""Hidden width of a tokenizer's feed-forward layers beside the width."""


def training_flops(params: Params, name: str) -> float:
    """Operations of training tokenizer ``name``: three times its forward pass, per image and step.

    This is the usual 6 x parameters x tokens (2 forward, 4 backward), but convolutions use a parameter once a pixel.
    Alignment MLP, teacher, perceptual network and discriminator are left out: they are the same for every size.
    """
    training = params.tokenizer_training(name)
    config = params.tokenizer_model(name, alignment_dim=1).model_copy(update={"alignment_layer": None})
    return float(TRAINING) * tokenizer_flops(config) * training.steps * training.batch_size


def generator_training_flops(params: Params, name: str) -> float:
    """Operations of training generator ``name``: three times its forward pass, per image and step."""
    training = params.generator_training(name)
    source = params.tokenizer_model(params.generators[name].tokenizer, alignment_dim=1)
    config = params.generator_model(name, tokens=source.tokens, codebook_size=source.codebook_size, classes=1)
    return float(TRAINING) * generator_flops(config) * training.steps * training.batch_size


def tokenizer_flops(config: TokenizerConfig) -> int:
    """Operations of a forward pass (encode, quantize, decode) over one image, alignment MLP included if it has one."""
    tokens, channels, code = config.tokens, config.cnn.latent_channels, config.codebook_dim
    total = encoder_flops(config) + _linear(tokens, code, channels) + _transformer(config, config.decoder)
    total += _linear(tokens, channels, config.decoder.width)
    total += _convolution(config.grid, config.decoder.width, channels, 3)
    if config.alignment_layer is not None:
        width = FFN_RATIO * config.decoder.width
        positions = config.grid**2
        total += _linear(positions, config.decoder.width, width) + _linear(positions, width, width)
        total += _linear(positions, width, config.alignment_dim)
    return total + _cnn_decoder(config.cnn, config.image_size)


def encoder_flops(config: TokenizerConfig) -> int:
    """Operations of encoding one image, the search for the nearest codes included."""
    tokens, channels, width = config.tokens, config.cnn.latent_channels, config.encoder.width
    total = _cnn_encoder(config.cnn, config.image_size) + _linear(config.grid**2, channels, width)
    if config.layout == "1d":
        total += _linear(tokens, width, width)
    total += _transformer(config, config.encoder) + _linear(tokens, width, channels)
    return (
        total
        + _linear(tokens, channels, config.codebook_dim)
        + _linear(tokens, config.codebook_dim, config.codebook_size)
    )


def generator_flops(config: ArConfig) -> int:
    """Operations of the teacher-forced forward pass over the tokens of one image.

    A causal mask saves none of them: the counter takes attention as if every token saw all.
    """
    tokens, width = config.num_tokens, config.width
    hidden = -(-(8 * width // 3) // config.ffn_multiple_of) * config.ffn_multiple_of
    block = _linear(tokens, width, 4 * width) + _attention(tokens, tokens, width) + 3 * _linear(tokens, width, hidden)
    return config.depth * block + _linear(tokens, width, config.codebook_size)


def attention_counters() -> Mapping[Any, Any]:
    """Counters of attention on a CPU, which torch's ``FlopCounterMode`` has not: pass them as ``custom_mapping``."""
    import torch
    from torch.utils import flop_counter

    aten, counter = torch.ops.aten, cast(Any, flop_counter)

    def forward(query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(counter.sdpa_flop_count(query, key, value))

    def backward(out: Any, query: Any, key: Any, value: Any, *_: Any, out_shape: Any = None, **__: Any) -> int:
        return int(counter.sdpa_backward_flop_count(out, query, key, value))

    return {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }


def _linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs


def _convolution(side: int, inputs: int, outputs: int, kernel: int) -> int:
    """``side``: of the output, in pixels."""
    return 2 * side**2 * inputs * outputs * kernel**2


def _attention(queries: int, keys: int, width: int) -> int:
    return 4 * queries * keys * width


def _transformer(config: TokenizerConfig, size: TransformerSize) -> int:
    """The blocks of one side. Q-Former blocks also project positions, once a batch: counted for a batch of one."""
    positions, width = config.grid**2, size.width
    encodes = size is config.encoder
    queries = config.tokens if config.layout == "2d" or encodes else positions
    memory = queries if config.layout == "2d" else positions if encodes else config.tokens
    ffn = 2 * _linear(queries, width, FFN_RATIO * width)
    own = _linear(queries, width, 4 * width) + _attention(queries, queries, width)
    if config.block == "plain":
        return size.depth * (own + ffn)
    own += _linear(queries, width, 2 * width)
    cross = _linear(queries, width, 2 * width) + _linear(memory, width, 3 * width) + _attention(queries, memory, width)
    return size.depth * (own + cross + ffn)


def _cnn_encoder(cnn: CnnConfig, image_size: int) -> int:
    side = image_size // cnn.patch
    total = _convolution(side, 3 * cnn.patch**2, cnn.channels, 3)
    channels = cnn.channels
    for level, multiplier in enumerate(cnn.multipliers):
        outputs = cnn.channels * multiplier
        total += _residual_blocks(side, channels, outputs, cnn.encoder_blocks)
        channels = outputs
        if level < len(cnn.multipliers) - 1:
            side //= 2
            total += _convolution(side, channels, channels, 3)
    total += _residual_blocks(side, channels, channels, cnn.mid_blocks)
    return total + _convolution(side, channels, cnn.latent_channels, 3)


def _cnn_decoder(cnn: CnnConfig, image_size: int) -> int:
    side = image_size // cnn.downsample
    widths = [cnn.channels * multiplier for multiplier in reversed(cnn.multipliers)]
    total = _convolution(side, cnn.latent_channels, widths[0], 3)
    total += _residual_blocks(side, widths[0], widths[0], cnn.mid_blocks)
    for level, (inputs, outputs) in enumerate(zip([widths[0], *widths[:-1]], widths, strict=True)):
        total += 2 * _linear(1, cnn.latent_channels, inputs)  # scale and shift of the adaptive norm
        total += _residual_blocks(side, inputs, outputs, cnn.decoder_blocks)
        if level < len(widths) - 1:
            total += _convolution(side, outputs, 4 * outputs, 3)
            side *= 2
    return total + _convolution(side, widths[-1], 3 * cnn.patch**2, 3)


def _residual_blocks(side: int, inputs: int, outputs: int, count: int) -> int:
    if not count:
        return 0
    first = _convolution(side, inputs, outputs, 3) + _convolution(side, outputs, outputs, 3)
    if inputs != outputs:
        first += _convolution(side, inputs, outputs, 1)
    return first + (count - 1) * 2 * _convolution(side, outputs, outputs, 3)
