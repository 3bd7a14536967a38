"""The sampler's decoder against the plain path, ``ArModel.step``, over random shapes and every way of a product."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gigatok.config import ArConfig, GigatokError
from gigatok.models import products
from gigatok.models.ar import ArModel
from gigatok.sampling import cache, sample_many
from gigatok.sampling import decoder as decoding
from gigatok.sampling.decoder import Decoder

TOKENS = 9


class ForgetfulCache(cache.BagCache):
    """Its memory holds no number where no position has been."""

    @staticmethod
    def blank(*arguments: Any, **keywords: Any) -> Tensor:
        return torch.empty(*arguments, **keywords).fill_(torch.nan)


@pytest.fixture(params=["small", "large", "products", "nan"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Treats matrices as what they are here, small, or as large ones; takes attention's two ways; and lets the cache
    grow several times."""
    monkeypatch.setattr(cache, "ROOM", 4)
    if request.param == "large":
        monkeypatch.setattr(products, "SMALL_MATRIX", 0)
    kinds = {"products": cache.ProductCache, "nan": ForgetfulCache}
    monkeypatch.setattr(decoding, "new_cache", kinds.get(request.param, cache.BagCache))


def model(heads: int, head_width: int, depth: int, codes: int, seed: int) -> ArModel:
    torch.manual_seed(seed)
    config = ArConfig(
        width=heads * head_width,
        depth=depth,
        heads=heads,
        ffn_multiple_of=8,
        codebook_size=codes,
        num_tokens=TOKENS,
        num_classes=5,
    )
    made = ArModel(config)
    for module in made.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            torch.nn.init.normal_(module.weight, std=0.2)
        elif hasattr(module, "weight"):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return made.eval()


@torch.no_grad()
def plain_logits(ar: ArModel, classes: Tensor, indices: Tensor) -> Tensor:
    """(R, N, V) from ``ArModel.step``."""
    cache = ar.new_cache(len(classes))
    inputs = torch.cat((classes.unsqueeze(1), indices[:, :-1]), dim=1)
    return torch.stack([ar.step(inputs[:, token], cache) for token in range(inputs.shape[1])], dim=1)


def decoder_logits(decoder: Decoder, classes: Tensor, indices: Tensor) -> Tensor:
    decoder.restart()
    inputs = torch.cat((classes.unsqueeze(1), indices[:, :-1]), dim=1)
    steps = [decoder.logits(decoder.advance(inputs[:, token])) for token in range(inputs.shape[1])]
    return torch.stack(steps, dim=1)


def batch(rows: int, codes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    classes = torch.randint(6, (rows,), generator=generator)
    return classes, torch.randint(codes, (rows, TOKENS), generator=generator)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    heads=st.integers(1, 4),
    head_width=st.sampled_from([4, 8, 12, 32]),
    depth=st.integers(1, 3),
    codes=st.sampled_from([7, 64, 130]),
    rows=st.sampled_from([1, 2, 3, 8, 33]),
    seed=st.integers(0, 100),
)
def test_logits_are_those_of_the_plain_path(
    ways: None, heads: int, head_width: int, depth: int, codes: int, rows: int, seed: int
) -> None:
    ar = model(heads, head_width, depth, codes, seed)
    classes, indices = batch(rows, codes)
    decoder = Decoder(ar, rows, rows, TOKENS)
    expected = plain_logits(ar, classes, indices)
    scale = max(1.0, float(expected.abs().max()))
    for _ in range(2):  # the second time from the start again
        found = decoder_logits(decoder, classes, indices)
        torch.testing.assert_close(found / scale, expected / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("as_weights", [True, False], ids=["bf16 weights", "autocast"])
def test_half_precision_is_no_further_from_the_truth_than_the_plain_path(ways: None, as_weights: bool) -> None:
    ar = model(heads=4, head_width=16, depth=3, codes=64, seed=0)
    classes, indices = batch(8, 64)
    truth = plain_logits(ar, classes, indices)
    if as_weights:
        ar = ar.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not as_weights):
        plain = plain_logits(ar, classes, indices)
        decoder = Decoder(ar, 8, 8, TOKENS)
        found = decoder_logits(decoder, classes, indices)
    assert (decoder.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    ours, theirs = ((logits - truth).square().mean().sqrt() for logits in (found, plain))
    assert 0 < ours < 1.1 * theirs


def test_samples_do_not_depend_on_batch_size_whatever_the_way(ways: None) -> None:
    ar = model(heads=2, head_width=16, depth=2, codes=128, seed=3)
    classes = torch.arange(10) % 5
    expected = sample_many(ar, classes, seed=5, batch_size=10, cfg_scale=1.5)
    for batch_size in (1, 3, 4):
        assert torch.equal(sample_many(ar, classes, seed=5, batch_size=batch_size, cfg_scale=1.5), expected)


def test_a_cpu_sums_bags_in_half_precision_where_torch_has_the_kernel() -> None:
    def kind(dtype: torch.dtype, device: str) -> type[cache.Cache]:
        return type(cache.new_cache(1, 2, 3, 4, 5, dtype, torch.device(device)))

    there = "fbgemm" in torch.backends.quantized.supported_engines
    assert kind(torch.bfloat16, "cpu") is (cache.BagCache if there else cache.ProductCache)
    assert kind(torch.float32, "cpu") is kind(torch.bfloat16, "meta") is cache.ProductCache


def test_an_early_end_and_a_full_cache() -> None:
    ar = model(heads=1, head_width=8, depth=1, codes=7, seed=0)
    decoder = Decoder(ar, 2, 2, 3)
    inputs = torch.tensor([0, 1])
    for _ in range(3):
        decoder.advance(inputs)
    with pytest.raises(GigatokError, match="holds 3 positions"):
        decoder.advance(inputs)
    decoder.restart()
    assert decoder.advance(inputs).shape == (2, 8)


def test_a_trained_model_is_not_held_and_keeps_its_mode() -> None:
    ar = model(heads=1, head_width=8, depth=1, codes=7, seed=0).train()
    classes, indices = batch(2, 7)
    found = decoder_logits(Decoder(ar, 2, 2, TOKENS), classes, indices)
    assert ar.training
    assert not found.requires_grad
    torch.testing.assert_close(found, plain_logits(ar.eval(), classes, indices), atol=1e-5, rtol=1e-5)
