"""2D transformers: the plain block, and the released S-S-2d's Q-Former block."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gigatok.config import CnnConfig, TokenizerConfig, TransformerSize
from gigatok.models.qformer import QFormerBlock
from gigatok.models.vit import PlainBlock, VitDecoder, VitEncoder

SIZE = TransformerSize(width=24, depth=3, heads=3)
CNN = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=16, groups=4)
CONFIG = TokenizerConfig(
    image_size=8, encoder=SIZE, decoder=SIZE, cnn=CNN, alignment_layer=None, layout="2d", block="plain"
)


def copy_block(ours: PlainBlock, torchs: nn.TransformerEncoderLayer) -> None:
    """Equal random weights in both."""
    pairs = [
        (ours.norm_self, torchs.norm1),
        (ours.norm_ffn, torchs.norm2),
        (ours.self_attention.out, torchs.self_attn.out_proj),
        (ours.ffn.up, torchs.linear1),
        (ours.ffn.down, torchs.linear2),
    ]
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.weight.copy_(theirs.weight.normal_(std=0.3))
            mine.bias.copy_(theirs.bias.normal_(std=0.3))
        ours.self_attention.qkv.weight.copy_(torchs.self_attn.in_proj_weight)
        ours.self_attention.qkv.bias.copy_(torchs.self_attn.in_proj_bias.normal_())


def test_plain_encoder_adds_positions_once_before_the_blocks() -> None:
    encoder = VitEncoder(CONFIG)
    layers = [nn.TransformerEncoderLayer(24, 3, 96, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(3)]
    latent = torch.randn(2, 16, 4, 4)
    x = encoder.embed(encoder.norm_in(latent.flatten(2).transpose(1, 2))) + encoder.positions
    for ours, torchs in zip(encoder.blocks, layers, strict=True):
        copy_block(ours, torchs)
        x = torchs(x)
    torch.testing.assert_close(encoder.features(latent), encoder.norm_out(x), atol=1e-4, rtol=1e-5)


def test_qformer_block_reads_its_own_input_as_memory() -> None:
    encoder = VitEncoder(CONFIG.replace(block="qformer"))
    latent = torch.randn(2, 16, 4, 4)
    x = encoder.embed(encoder.norm_in(latent.flatten(2).transpose(1, 2)))  # no positions added here
    for block in encoder.blocks:
        assert isinstance(block, QFormerBlock)
        x = block(x, encoder.positions, x, encoder.positions)
    assert torch.equal(encoder.features(latent), encoder.norm_out(x))


@pytest.mark.parametrize("block", ["plain", "qformer"])
def test_decoder_returns_the_map_and_the_block_asked_for(block: str) -> None:
    decoder = VitDecoder(CONFIG.replace(block=block))
    tokens = torch.randn(2, 16, 16)
    decoded = decoder(tokens, tap=2)
    assert decoded.map.shape == (2, 16, 4, 4)
    assert torch.equal(decoded.tapped, decoder.features(tokens, 2))
    assert not torch.equal(decoded.tapped, decoder.features(tokens, 3))
    assert decoder(tokens).tapped is None
