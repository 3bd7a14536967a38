"""The whole tokenizer, small: shapes, contracts between its methods, gradients, errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gigatok.config import CnnConfig, GigatokError, TokenizerConfig, TransformerSize
from gigatok.models import Tokenizer

CNN = CnnConfig(channels=8, multipliers=(1, 2), encoder_blocks=1, decoder_blocks=1, latent_channels=16, groups=4)
CONFIG = TokenizerConfig(
    image_size=16,
    encoder=TransformerSize(width=24, depth=2, heads=3),
    decoder=TransformerSize(width=32, depth=3, heads=2),
    cnn=CNN.replace(patch=2),
    codebook_size=64,
    codebook_dim=4,
    alignment_layer=2,
    alignment_dim=12,
)
KINDS: list[dict[str, Any]] = [
    {},
    {"num_tokens": 4},
    {"layout": "2d"},
    {"layout": "2d", "block": "plain"},
    {"quantizer_gradient": "straight-through"},
]


@pytest.fixture(params=KINDS, ids=str)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    torch.manual_seed(0)
    return Tokenizer(CONFIG.replace(**request.param))


IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_shapes(tokenizer: Tokenizer) -> None:
    out = tokenizer(IMAGES, shortcut=True)
    tokens = tokenizer.config.tokens
    assert out.reconstruction.shape == IMAGES.shape
    assert out.shortcut.shape == IMAGES.shape
    assert out.indices.shape == (2, tokens)
    assert out.indices.dtype == torch.int64
    assert out.alignment.shape == (2, 16, 12)
    assert out.encoder_map.shape == out.decoder_map.shape == (2, 16, 4, 4)
    assert tokenizer.encode_continuous(IMAGES).shape == (2, tokens, 4)
    assert tokenizer.encoder_features(IMAGES).shape == (2, tokens, 24)
    assert tokenizer.decoder_features(out.indices, 3).shape == (2, 16, 32)


@torch.no_grad()
def test_methods_agree(tokenizer: Tokenizer) -> None:
    out = tokenizer(IMAGES)
    assert torch.equal(tokenizer.encode(IMAGES), out.indices)
    decoded = tokenizer.decode(out.indices)
    torch.testing.assert_close(decoded, out.reconstruction, atol=1e-4, rtol=1e-4)  # rotation: about 1e-6 in z_q
    assert torch.equal(tokenizer.reconstruct(IMAGES), decoded)
    assert torch.equal(tokenizer.cnn_decoder(out.encoder_map), tokenizer(IMAGES, shortcut=True).shortcut)
    assert tokenizer.alignment is not None
    aligned = tokenizer.alignment(tokenizer.decoder_features(out.indices, 2))
    torch.testing.assert_close(aligned, out.alignment, atol=1e-4, rtol=1e-4)


def test_every_parameter_learns(tokenizer: Tokenizer) -> None:
    out = tokenizer(IMAGES)
    codebook = out.codebook
    loss = out.reconstruction.square().mean() + out.alignment.square().mean()
    (loss + codebook.codebook_loss + codebook.commitment_loss + codebook.entropy_loss).backward()
    idle = [name for name, p in tokenizer.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_two_images_do_not_see_each_other(tokenizer: Tokenizer) -> None:
    with torch.no_grad():
        both, one = tokenizer(IMAGES), tokenizer(IMAGES[1:])
    assert torch.equal(both.indices[1:], one.indices)
    torch.testing.assert_close(both.reconstruction[1:], one.reconstruction, atol=1e-5, rtol=1e-5)


def test_without_alignment_there_is_no_mlp() -> None:
    tokenizer = Tokenizer(CONFIG.replace(alignment_layer=None))
    assert tokenizer(IMAGES).alignment is None
    assert not [name for name in tokenizer.state_dict() if name.startswith("alignment")]


def test_entropy_temperature_reaches_the_quantizer() -> None:
    assert Tokenizer(CONFIG, entropy_temperature=None)(IMAGES).codebook.entropy_loss is None
    assert Tokenizer(CONFIG, entropy_temperature=0.5).quantizer.entropy_temperature == 0.5


def test_equal_seeds_give_equal_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(Tokenizer(CONFIG).state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_wrong_shapes_are_refused() -> None:
    tokenizer = Tokenizer(CONFIG)
    with pytest.raises(GigatokError, match=r"images have shape \(1, 3, 32, 32\).*\(batch, 3, 16, 16\)"):
        tokenizer.encode(torch.zeros(1, 3, 32, 32))
    with pytest.raises(GigatokError, match=r"indices have shape \(1, 5\)"):
        tokenizer.decode(torch.zeros(1, 5, dtype=torch.int64))
    with pytest.raises(GigatokError, match=r"layer 4 is not in 1\.\.3"):
        tokenizer.decoder_features(torch.zeros(1, 16, dtype=torch.int64), 4)
