"""The start for short runs: attention is local, weights have the usual size, nothing else changes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from gigatok.config import CnnConfig, TokenizerConfig, TransformerSize
from gigatok.models.attention import Attention
from gigatok.models.cnn import AdaptiveGroupNorm
from gigatok.models.initialisation import POSITION_SCALE, map_places, spatial_positions, token_places
from gigatok.models.qformer import multi_level_pooling
from gigatok.models.tokenizer import Tokenizer

SIZE = TransformerSize(width=32, depth=2, heads=2)
CNN = CnnConfig(channels=8, multipliers=(1, 1), encoder_blocks=1, decoder_blocks=1, mid_blocks=1, latent_channels=16,
                groups=4)  # fmt: skip


def tokenizer(layout: str = "1d", block: str = "qformer", initialisation: str = "spatial") -> Tokenizer:
    torch.manual_seed(0)
    config = TokenizerConfig.model_validate(
        {"layout": layout, "block": block, "image_size": 16, "encoder": SIZE, "decoder": SIZE, "cnn": CNN,
         "codebook_size": 32, "codebook_dim": 4, "alignment_layer": None, "initialisation": initialisation}
    )  # fmt: skip
    return Tokenizer(config)


def test_map_places_are_centres_row_by_row() -> None:
    assert map_places(2).tolist() == [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]


@pytest.mark.parametrize("count", [1, 2, 4, 16, 64])
def test_token_places_are_where_pooling_takes_tokens_from(count: int) -> None:
    """Pooling a map of its own coordinates gives the mean coordinate of every cell: its centre."""
    grid = 16
    coordinates = map_places(grid).T.reshape(1, 2, grid, grid)
    torch.testing.assert_close(token_places(count), multi_level_pooling(coordinates, count)[0])


def test_places_are_most_like_themselves_then_like_those_in_their_row_or_column() -> None:
    grid = 8
    positions = spatial_positions(map_places(grid), 64, grid)
    alike = positions @ positions.T
    assert alike.argmax(dim=1).tolist() == list(range(grid**2))
    row = alike[0].reshape(grid, grid)
    assert row[0, 0] > 2 * row.flatten()[1:].max()  # neighbours are told apart
    assert row[0].min() > row[1:, 1:].max()  # sharing a row is more than sharing nothing
    torch.testing.assert_close(row, row.T)  # rows and columns count alike


def test_positions_have_the_same_size_everywhere_and_fill_odd_widths_with_zeros() -> None:
    positions = spatial_positions(map_places(4), 30, 4)
    torch.testing.assert_close(positions.norm(dim=1), torch.full((16,), POSITION_SCALE * math.sqrt(14)))
    assert positions.shape == (16, 30)
    assert not positions[:, 28:].any()


@pytest.mark.parametrize(("layout", "block"), [("1d", "qformer"), ("2d", "qformer"), ("2d", "plain")])
def test_every_position_of_every_layout_starts_at_its_place(layout: str, block: str) -> None:
    model = tokenizer(layout, block)
    whole = spatial_positions(map_places(8), 32, 8)
    latent = spatial_positions(token_places(64), 32, 8) if layout == "1d" else whole
    found = {
        f"{part}.{name}": parameter
        for part in ("transformer_encoder", "transformer_decoder")
        for name, parameter in model.get_submodule(part).named_parameters(recurse=False)
    }
    assert len(found) == (4 if layout == "1d" else 2)
    for name, parameter in found.items():
        of_tokens = name in ("transformer_encoder.query_positions", "transformer_decoder.memory_positions")
        torch.testing.assert_close(parameter.detach(), latent if of_tokens else whole, msg=name)
        assert parameter.requires_grad


def test_queries_equal_keys_so_that_attention_stays_near(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tokenizer()
    layers = [part for part in model.modules() if isinstance(part, Attention)]
    assert len(layers) == 8
    for layer in layers:
        query, key, value = torch.split(layer.qkv.weight.detach(), 32)
        assert torch.equal(query, key)
        assert not torch.equal(query, value)
        assert not layer.qkv.bias.any()
    seen: list[Tensor] = []

    def scores(self: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        seen.append(query[0] @ key[0].T)
        return original(self, query, key, value)

    original = Attention._attend
    monkeypatch.setattr(Attention, "_attend", scores)
    with torch.no_grad():
        model.encode_continuous(torch.zeros(1, 3, 16, 16))
    among_tokens, to_map = seen[:2]
    # tokens 32..63 are one for each cell of 4 x 8: they look at themselves, and at the map below them
    assert (among_tokens[32:].argmax(dim=1) == torch.arange(32, 64)).float().mean() > 0.6  # by chance: 0.02
    places, own = map_places(8), token_places(64)
    distance = (places[to_map[32:].argmax(dim=1)] - own[32:]).norm(dim=1)
    assert distance.mean() < 0.15
    assert (places[torch.randint(64, (32,))] - own[32:]).norm(dim=1).mean() > 0.3


def test_weights_have_torchs_usual_size_and_norms_start_with_scale_one() -> None:
    model = tokenizer()
    linear = model.transformer_encoder.embed
    assert isinstance(linear, nn.Linear)
    assert linear.weight.abs().max() <= 1 / math.sqrt(16)
    assert float(linear.weight.detach().std()) == pytest.approx(1 / math.sqrt(3 * 16), rel=0.1)
    paper = tokenizer(initialisation="paper").transformer_encoder.embed
    assert isinstance(paper, nn.Linear)
    assert float(paper.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    norms = [part for part in model.modules() if isinstance(part, AdaptiveGroupNorm)]
    assert norms
    assert all((norm.gamma.bias == 1).all() for norm in norms)


def test_shapes_and_names_are_the_papers_and_gradients_reach_everything() -> None:
    model, paper = tokenizer(), tokenizer(initialisation="paper")
    assert {n: p.shape for n, p in model.state_dict().items()} == {n: p.shape for n, p in paper.state_dict().items()}
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    out = model(images)
    (out.reconstruction.square().mean() + out.codebook.codebook_loss + out.codebook.commitment_loss).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
