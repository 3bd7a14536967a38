"""1D transformers: pooling, blocks, and how the decoder starts."""

from __future__ import annotations

import formula
import pytest
import torch
from torch import nn

from gigatok.config import CnnConfig, TokenizerConfig, TransformerSize
from gigatok.models.qformer import QFormerBlock, QFormerDecoder, QFormerEncoder, multi_level_pooling

SIZE = TransformerSize(width=24, depth=2, heads=3)
CNN = CnnConfig(channels=8, multipliers=(1, 2), latent_channels=16, groups=4)
CONFIG = TokenizerConfig(image_size=8, encoder=SIZE, decoder=SIZE, cnn=CNN, alignment_layer=None)


@pytest.mark.parametrize(("tokens", "side"), [(256, 16), (64, 8)])
def test_pooling_agrees_with_the_official_code(tokens: int, side: int) -> None:
    stored = formula.outputs("losses")
    x = torch.from_numpy(stored["levels_in"])[:, :, :side, :side]
    expected = torch.from_numpy(stored[f"levels_{tokens}"])
    torch.testing.assert_close(multi_level_pooling(x, tokens), expected, atol=3e-5, rtol=1e-5)


def test_pooling_splits_columns_before_rows() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert multi_level_pooling(x, 1).flatten().tolist() == [2.5]
    assert multi_level_pooling(x, 4).flatten().tolist() == [2.5, 2.5, 2.0, 3.0]
    assert multi_level_pooling(x, 8).flatten().tolist() == [2.5, 2.5, 2.0, 3.0, 1.0, 2.0, 3.0, 4.0]


def test_block_is_the_official_one_without_positions() -> None:
    """torch's decoder layer, whose names the official block has, is the same block without positions."""
    ours = QFormerBlock(24, 3)
    torchs = nn.TransformerDecoderLayer(24, 3, 96, 0.0, "gelu", batch_first=True, norm_first=True)
    pairs = [
        (ours.norm_self, torchs.norm1),
        (ours.norm_cross, torchs.norm2),
        (ours.norm_ffn, torchs.norm3),
        (ours.self_attention.out, torchs.self_attn.out_proj),
        (ours.cross_attention.out, torchs.multihead_attn.out_proj),
        (ours.ffn.up, torchs.linear1),
        (ours.ffn.down, torchs.linear2),
    ]
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.weight.copy_(theirs.weight.normal_())
            mine.bias.copy_(theirs.bias.normal_())
        for attention, other in (
            (ours.self_attention, torchs.self_attn),
            (ours.cross_attention, torchs.multihead_attn),
        ):
            attention.qkv.weight.copy_(other.in_proj_weight)
            attention.qkv.bias.copy_(other.in_proj_bias.normal_())
    x, memory = torch.randn(2, 5, 24), torch.randn(2, 7, 24)
    found = ours(x, torch.zeros(5, 24), memory, torch.zeros(7, 24))
    torch.testing.assert_close(found, torchs(x, memory), atol=1e-4, rtol=1e-5)


def test_decoder_queries_start_as_the_first_token() -> None:
    decoder = QFormerDecoder(CONFIG)
    tokens = torch.randn(2, 16, 16)
    memory, x = decoder._start(tokens)
    assert x.shape == (2, 16, 24)
    assert torch.equal(x, memory[:, :1].expand_as(x))


@pytest.mark.parametrize("tokens", [1, 4, 16])
def test_fewer_tokens_than_positions(tokens: int) -> None:
    config = CONFIG.replace(num_tokens=tokens)
    latent = torch.randn(2, 16, 4, 4)
    encoded = QFormerEncoder(config)(latent)
    assert encoded.shape == (2, tokens, 16)
    decoder = QFormerDecoder(config)
    decoded = decoder(encoded, tap=1)
    assert decoded.map.shape == latent.shape
    assert torch.equal(decoded.tapped, decoder.features(encoded, 1))


def test_positions_start_at_the_official_scale() -> None:
    torch.manual_seed(0)
    wide = CONFIG.replace(encoder=TransformerSize(width=256, depth=1, heads=4), image_size=32)
    encoder = QFormerEncoder(wide)
    for positions in (encoder.memory_positions, encoder.query_positions):
        assert positions.shape == (256, 256)
        assert abs(positions.std().item() - 256**-0.5) < 1e-3
