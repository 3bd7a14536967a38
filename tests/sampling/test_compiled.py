"""The compiled step against the plain path, ``ArModel.step``."""

from __future__ import annotations

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gigatok.config import ArConfig, GigatokError
from gigatok.models.ar import ArModel
from gigatok.runtime.device import Precision
from gigatok.sampling import CompiledDecoders, compiled_where_faster, sample_many
from gigatok.sampling.compiled import REACHES, Step, reach
from gigatok.sampling.spec import SampleSpec

TOKENS = 9
SPECS = ({}, {"cfg_scale": 2.0, "cfg_schedule": "cosine"}, {"top_k": 5, "temperature": 0.7}, {"greedy": True})


def model(seed: int = 0, **shape: int) -> ArModel:
    torch.manual_seed(seed)
    usual = {"width": 24, "depth": 2, "heads": 3, "codebook_size": 130, "num_tokens": TOKENS}
    made = ArModel(ArConfig(ffn_multiple_of=8, num_classes=5, **{**usual, **shape}))
    for weight in made.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return made.eval()


@torch.no_grad()
def plain_logits(ar: ArModel, classes: Tensor, indices: Tensor) -> Tensor:
    cache = ar.new_cache(len(classes))
    inputs = torch.cat((classes.unsqueeze(1), indices[:, :-1]), dim=1)
    return torch.stack([ar.step(each, cache) for each in inputs.unbind(1)], dim=1)


@torch.no_grad()
def step_logits(ar: ArModel, classes: Tensor, indices: Tensor, positions: int) -> Tensor:
    """What the graph computes for given tokens; twice, since keys and values of a sequence before are left over."""
    step = Step(ar, len(classes), positions, ar.compute_dtype())
    inputs = torch.cat((classes.unsqueeze(1), step.codes_from + indices[:, :-1]), dim=1)
    for _ in range(2):
        rows = [step(each, torch.tensor([i]), reach(i, positions)) for i, each in enumerate(inputs.unbind(1))]
    return torch.stack([ar.logits(each) for each in rows], dim=1)


def batch(rows: int, tokens: int = TOKENS, codes: int = 130) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(6, (rows,), generator=generator), torch.randint(codes, (rows, tokens), generator=generator)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    heads=st.integers(1, 4),
    head_width=st.sampled_from([4, 8, 12, 32]),
    depth=st.integers(1, 3),
    codes=st.sampled_from([7, 64, 130]),
    tokens=st.integers(1, 12),
    spare=st.sampled_from([0, 3]),
    rows=st.integers(1, 9),
    seed=st.integers(0, 100),
)
def test_logits_are_the_plain_ones_for_any_shape(
    heads: int, head_width: int, depth: int, codes: int, tokens: int, spare: int, rows: int, seed: int
) -> None:
    """``spare`` positions stay empty."""
    shape = {"heads": heads, "width": heads * head_width, "depth": depth, "codebook_size": codes}
    ar = model(seed, num_tokens=tokens + spare, **shape)
    classes, indices = batch(rows, tokens, codes)
    expected = plain_logits(ar, classes, indices)
    scale = max(1.0, float(expected.abs().max()))
    found = step_logits(ar, classes, indices, tokens + spare)
    torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize("positions", [1, 3, 4, 9, 64, 256])
def test_attention_reaches_every_position_so_far_in_few_lengths(positions: int) -> None:
    lengths = [reach(place, positions) for place in range(positions)]
    assert all(place < length <= positions for place, length in enumerate(lengths))
    assert len(set(lengths)) <= REACHES
    assert lengths == sorted(lengths)


@pytest.mark.parametrize("settings", SPECS)
def test_samples_are_those_of_the_other_decoder_whatever_the_batch(settings: dict[str, object]) -> None:
    """Seven samples in batches of three: the last one is filled up."""
    ar, classes = model(), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    expected = sample_many(ar, classes, 3, 7, **settings)
    seen: list[int] = []
    decoders = CompiledDecoders(ar, "eager")
    drawn = sample_many(ar, classes, 3, 3, decoders=decoders, progress=seen.append, **settings)
    assert torch.equal(drawn, expected)
    assert seen == [3, 6, 7]
    assert len(decoders._made) == 1


def test_the_same_graphs_serve_all_batches_and_scales() -> None:
    """Else one would be made for each token."""
    torch.compiler.reset()
    counter = torch._dynamo.testing.CompileCounter()
    ar = model()
    decoders = CompiledDecoders(ar, counter)
    for scale in (1.5, 2.0):
        sample_many(ar, torch.arange(5), 0, 2, decoders=decoders, cfg_scale=scale)
    assert 1 < counter.frame_count <= REACHES


@torch._dynamo.config.patch(recompile_limit=8)
def test_more_graphs_are_kept_than_torch_would() -> None:
    """Torch stops at 8, and a graph that must be whole is an error then."""
    torch.compiler.reset()
    counter = torch._dynamo.testing.CompileCounter()
    ar = model()
    decoders = CompiledDecoders(ar, counter)
    for rows in range(2, 6):
        sample_many(ar, torch.arange(rows), 0, rows, decoders=decoders)
    assert counter.frame_count > 8


def test_autocast_computes_in_its_type() -> None:
    ar, (classes, indices) = model(), batch(4)
    with torch.autocast("cpu", torch.bfloat16):
        expected = plain_logits(ar, classes, indices)
        decoder = CompiledDecoders(ar, "eager")(4, 4, TOKENS)
        assert decoder.dtype == torch.bfloat16
        logits = step_logits(ar, classes, indices, TOKENS)
    torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.1)


def test_another_length_is_one_line() -> None:
    decoder = CompiledDecoders(model(), "eager")(1, 1, 3)
    with pytest.raises(GigatokError, match="2 positions asked of a decoder compiled for 3"):
        decoder.sample(torch.tensor([0]), None, [1.0, 1.0], SampleSpec.of(greedy=True))


@pytest.mark.parametrize(
    ("precision", "images", "compiled"),
    [("fp32", 32, True), ("fp32", 64, False), ("bf16", 32, True), ("bf16", 256, True)],
)
def test_sampling_is_compiled_where_it_may_be_faster(precision: Precision, images: int, compiled: bool) -> None:
    assert (compiled_where_faster(model(), precision, images) is not None) == compiled


@pytest.mark.long(40)
@pytest.mark.skipif(shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler")
def test_compiled_for_real() -> None:
    ar, classes = model(), torch.arange(5)
    expected = sample_many(ar, classes, 3, 5, cfg_scale=2.0)
    assert torch.equal(sample_many(ar, classes, 3, 5, cfg_scale=2.0, decoders=CompiledDecoders(ar)), expected)
