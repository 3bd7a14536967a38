"""The sampler against a slow one that feeds the whole sequence for every token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gigatok.config import ArConfig, GigatokError
from gigatok.models.ar import ArModel
from gigatok.sampling import SampleSpec, filter_logits, generate, guidance_scale

CLASSES = torch.tensor([0, 5, 2, 2])


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@torch.no_grad()
def slow_generate(ar: ArModel, classes: Tensor, spec: SampleSpec, uniforms: Tensor) -> Tensor:
    """No cache, guidance on logits, a loop over samples and codes for the draw."""
    ar.eval()
    count, tokens = len(classes), uniforms.shape[1]
    indices = torch.zeros(count, tokens, dtype=torch.int64)
    null = torch.full_like(classes, ar.null_class)
    for token in range(tokens):
        conditional = ar(indices[:, : token + 1], classes)[:, -1]
        unconditional = ar(indices[:, : token + 1], null)[:, -1]
        scale = guidance_scale(spec, token, tokens)
        logits = unconditional + scale * (conditional - unconditional)
        logits = filter_logits(logits / max(spec.temperature, 1e-5), spec.top_k, spec.top_p)
        for sample in range(count):
            reached, chosen = 0.0, -1
            for code, share in enumerate(torch.softmax(logits[sample].double(), 0).tolist()):
                reached += share
                if share > 0:
                    chosen = code
                if reached > uniforms[sample, token]:
                    break
            indices[sample, token] = logits[sample].argmax() if spec.greedy else chosen
    return indices


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.5},
        {"cfg_scale": 2.5},
        {"cfg_scale": 2.5, "cfg_schedule": "step", "cfg_start": 0.4},
        {"cfg_scale": 2.5, "cfg_schedule": "rectangular", "cfg_start": 0.2, "cfg_end": 0.6},
        {"cfg_scale": 2.5, "cfg_schedule": "cosine", "top_k": 10, "top_p": 0.9, "temperature": 0.8},
        {"cfg_scale": 1.5, "cfg_schedule": "linear", "greedy": True},
        {"greedy": True},
    ],
)
def test_agrees_with_the_slow_sampler(ar: ArModel, settings: dict[str, object]) -> None:
    uniforms = torch.stack([torch.rand(12, generator=own, dtype=torch.float64) for own in generators(1, 2, 3, 4)])
    expected = slow_generate(ar, CLASSES, SampleSpec.of(**settings), uniforms)
    drawn = generate(ar, CLASSES, generator=generators(1, 2, 3, 4), **settings)  # type: ignore[arg-type]
    assert torch.equal(drawn, expected)


SPECS = st.fixed_dictionaries(
    {
        "cfg_scale": st.sampled_from([1.0, 1.5, 4.0]),
        "cfg_schedule": st.sampled_from(["constant", "step", "linear", "linear_re", "rectangular", "cosine"]),
        "cfg_start": st.sampled_from([0.0, 0.3]),
        "temperature": st.sampled_from([0.5, 1.0]),
        "top_k": st.sampled_from([0, 3]),
        "top_p": st.sampled_from([1.0, 0.8]),
        "greedy": st.booleans(),
    }
)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    heads=st.integers(1, 3),
    depth=st.integers(1, 2),
    codes=st.sampled_from([5, 128, 256]),
    tokens=st.integers(2, 36),
    count=st.integers(1, 3),
    spec=SPECS,
    seed=st.integers(0, 100),
)
def test_sequences_are_the_slow_samplers_for_any_shape_and_setting(
    heads: int, depth: int, codes: int, tokens: int, count: int, spec: dict[str, object], seed: int
) -> None:
    """With the cache as it is: it grows after 32 positions."""
    torch.manual_seed(seed)
    config = ArConfig(
        width=8 * heads,
        depth=depth,
        heads=heads,
        ffn_multiple_of=8,
        codebook_size=codes,
        num_tokens=tokens,
        num_classes=3,
    )
    model = ArModel(config).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    classes = torch.randint(4, (count,))
    own = range(seed, seed + count)
    uniforms = torch.stack([torch.rand(tokens, generator=each, dtype=torch.float64) for each in generators(*own)])
    expected = slow_generate(model, classes, SampleSpec.of(**spec), uniforms)
    drawn = generate(model, classes, generator=generators(*own), **spec)  # type: ignore[arg-type]
    assert torch.equal(drawn, expected)


def test_every_setting_changes_the_result(ar: ArModel) -> None:
    def drawn(**settings: object) -> Tensor:
        return generate(ar, CLASSES, generator=generators(1, 2, 3, 4), **settings)  # type: ignore[arg-type]

    guided = {"cfg_scale": 3.0, "cfg_schedule": "rectangular"}
    pairs = [
        (drawn(), drawn(temperature=0.3)),
        (drawn(), drawn(top_k=2)),
        (drawn(), drawn(top_p=0.3)),
        (drawn(), drawn(greedy=True)),
        (drawn(), drawn(cfg_scale=3.0)),
        (drawn(cfg_scale=3.0), drawn(cfg_scale=3.0, cfg_schedule="linear")),
        (drawn(**guided), drawn(**guided, cfg_start=0.5)),
        (drawn(**guided), drawn(**guided, cfg_end=0.5)),
    ]
    assert [torch.equal(*pair) for pair in pairs] == [False] * len(pairs)


def test_samples_do_not_depend_on_their_batch(ar: ArModel) -> None:
    together = generate(ar, CLASSES, cfg_scale=2.0, generator=generators(1, 2, 3, 4))
    alone = [generate(ar, CLASSES[i : i + 1], cfg_scale=2.0, generator=generators(i + 1)) for i in range(len(CLASSES))]
    assert torch.equal(together, torch.cat(alone))
    assert not torch.equal(together[2], together[3])  # same class, other numbers


def test_one_generator_repeats_and_moves_on(ar: ArModel) -> None:
    (own,) = generators(7)
    first, second = generate(ar, CLASSES, generator=own), generate(ar, CLASSES, generator=own)
    assert torch.equal(first, generate(ar, CLASSES, generator=generators(7)[0]))
    assert not torch.equal(first, second)


def test_the_global_generator_is_used_without_another(ar: ArModel) -> None:
    torch.manual_seed(3)
    first, second = generate(ar, CLASSES), generate(ar, CLASSES)
    torch.manual_seed(3)
    assert torch.equal(first, generate(ar, CLASSES))
    assert not torch.equal(first, second)


def test_greedy_consumes_no_random_numbers(ar: ArModel) -> None:
    before = torch.get_rng_state()
    generate(ar, CLASSES, greedy=True)
    assert torch.equal(before, torch.get_rng_state())


def test_shape_type_and_mode(ar: ArModel) -> None:
    ar.train()
    drawn = generate(ar, CLASSES, num_tokens=5)
    assert drawn.shape == (4, 5)
    assert drawn.dtype == torch.int64
    assert ar.training
    repeated = [generate(ar, CLASSES, greedy=True) for _ in range(2)]  # dropout is off all the same
    assert torch.equal(*repeated)


def test_null_class_draws_as_without_condition(ar: ArModel) -> None:
    null = torch.tensor([ar.null_class])
    guided = generate(ar, null, cfg_scale=4.0, generator=generators(1))
    assert torch.equal(guided, generate(ar, null, generator=generators(1)))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"num_tokens": 13}, "num_tokens 13"),
        ({"num_tokens": 0}, "num_tokens 0"),
        ({"classes": torch.tensor([7])}, r"allowed are 0\.\.6"),
        ({"classes": torch.tensor([-1])}, r"allowed are 0\.\.6"),
        ({"generator": generators(1, 2)}, "2 generators for 4 classes"),
        ({"cfg_scale": 0.9}, "cfg_scale = 0.9"),
    ],
)
def test_wrong_arguments_are_named(ar: ArModel, arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(GigatokError, match=problem):
        generate(ar, **{"classes": CLASSES, **arguments})  # type: ignore[arg-type]


def test_samples_can_be_used_with_gradients_on(ar: ArModel) -> None:
    indices = generate(ar, CLASSES, greedy=True)
    table = torch.nn.Embedding(ar.config.codebook_size, 2)
    table(indices).sum().backward()
    assert table.weight.grad is not None
    assert not indices.is_inference()
