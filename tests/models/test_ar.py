"""AR model: agreement with official outputs, parameter counts, causality, key-value cache, class dropout."""

from __future__ import annotations

import formula
import numpy as np
import pytest
import torch
from torch import Tensor

from gigatok.config import ArConfig, GigatokError
from gigatok.interop.official_ar import convert_ar
from gigatok.models.ar import ArModel, ffn_width
from gigatok.sampling import generate

TOLERANCE = {"atol": 3e-5, "rtol": 1e-5}
STORED_POSITIONS = [0, 1, 2, 17, 128, 254, 255]
TINY = ArConfig(
    width=32,
    depth=3,
    heads=4,
    ffn_multiple_of=16,
    codebook_size=50,
    num_tokens=16,
    num_classes=5,
    class_dropout=0.5,
)


@pytest.fixture
def tiny() -> ArModel:
    """A tiny model with a head that is not zero, in eval mode."""
    torch.manual_seed(0)
    model = ArModel(TINY)
    torch.nn.init.normal_(model.head.weight)
    return model.eval()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """(4, 16) indices and (4,) classes, the null class among them."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(50, (4, 16), generator=generator), torch.tensor([0, 3, 4, 5])


@pytest.fixture(scope="module")
def official() -> ArModel:
    """GPT-B with the formula's weights."""
    torch.manual_seed(0)
    config, state = convert_ar(formula.state_dict(formula.shapes("GPT-B")))
    with torch.device("meta"):
        model = ArModel(config)
    model.load_state_dict(state, assign=True)
    return model.eval()


@pytest.fixture(scope="module")
def stored() -> dict[str, Tensor]:
    """What the official implementation computed for it."""
    return {name: torch.from_numpy(np.asarray(value)) for name, value in formula.outputs("GPT-B").items()}


def test_logits_and_loss_agree_with_the_official_model(official: ArModel, stored: dict[str, Tensor]) -> None:
    indices = stored["indices"].long()
    with torch.inference_mode():
        logits = official(indices, stored["classes"])
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), indices.flatten())
    torch.testing.assert_close(logits[:, STORED_POSITIONS, ::64], stored["logits"], **TOLERANCE)
    assert torch.equal(logits.argmax(-1), stored["argmax"].long())
    torch.testing.assert_close(loss.double(), stored["loss"], **TOLERANCE)


def test_probe_features_agree_with_the_official_model(official: ArModel, stored: dict[str, Tensor]) -> None:
    null = torch.full_like(stored["classes"], official.null_class)
    with torch.inference_mode():
        features = official.features(stored["indices"].long(), null, layer=6)
    torch.testing.assert_close(features.mean(dim=1), stored["probe_features"], **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("greedy", {}),
        ("greedy_cfg4", {"cfg_scale": 4.0}),
        ("greedy_step", {"cfg_scale": 1.75, "cfg_schedule": "step", "cfg_start": 0.18}),
    ],
)
def test_greedy_sequences_agree_with_the_official_sampler(
    official: ArModel, stored: dict[str, Tensor], name: str, settings: dict[str, object]
) -> None:
    drawn = generate(official, stored["classes"], num_tokens=64, greedy=True, **settings)  # type: ignore[arg-type]
    assert torch.equal(drawn, stored[name].long())


@pytest.mark.parametrize(
    ("width", "depth", "heads", "count"),
    [
        (768, 12, 12, 111_085_824),
        (1024, 24, 16, 343_174_144),
        (1280, 36, 20, 775_028_480),
        (1536, 48, 24, 1_411_367_424),
    ],
)
def test_parameter_counts_are_the_papers_and_need_no_memory(width: int, depth: int, heads: int, count: int) -> None:
    with torch.device("meta"):
        model = ArModel(ArConfig(width=width, depth=depth, heads=heads))
    assert sum(parameter.numel() for parameter in model.parameters()) == count
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.parametrize(("width", "hidden"), [(768, 2048), (1024, 2816), (1280, 3584), (1536, 4096)])
def test_feed_forward_widths_are_the_papers(width: int, hidden: int) -> None:
    assert ffn_width(width, 256) == hidden


def test_initial_model_finds_every_code_equally_likely(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = ArModel(TINY)
    assert torch.equal(model(*batch), torch.zeros(4, 16, 50))
    assert model.blocks[0].attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert model.positional_embedding.std().item() == pytest.approx(32**-0.5, rel=0.1)


def test_no_logit_depends_on_its_own_or_a_later_token(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    indices, classes = batch
    changed = indices.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 50
    before, after = tiny(indices, classes), tiny(changed, classes)
    torch.testing.assert_close(before[:, :8], after[:, :8])
    assert (before[:, 8:] - after[:, 8:]).abs().amax(dim=(0, 2)).min() > 1e-4


def test_shorter_sequences_give_the_same_logits(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    indices, classes = batch
    torch.testing.assert_close(tiny(indices[:, :5], classes), tiny(indices, classes)[:, :5])


def test_cache_gives_the_logits_of_the_full_forward(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    indices, classes = batch
    cache = tiny.new_cache(4)
    for _ in range(2):  # the second time over old memory
        cache.reset()
        inputs, stepped = classes, []
        for token in range(16):
            stepped.append(tiny.step(inputs, cache))
            inputs = indices[:, token]
        torch.testing.assert_close(torch.stack(stepped, dim=1), tiny(indices, classes), atol=1e-5, rtol=1e-5)
    with pytest.raises(GigatokError, match="holds 16 positions"):
        tiny.step(inputs, cache)


def test_cache_follows_autocast(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    indices, classes = batch
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        cache = tiny.new_cache(4)
        first = tiny.step(classes, cache)
        second = tiny.step(indices[:, 0], cache)
        expected = tiny(indices[:, :2], classes)
    assert cache.memory.dtype == torch.bfloat16
    assert first.dtype == torch.float32
    torch.testing.assert_close(torch.stack((first, second), dim=1), expected, atol=0.1, rtol=0.05)


def test_half_precision_weights_give_nearly_the_same_logits(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    indices, classes = batch
    with torch.inference_mode():
        expected = tiny(indices, classes)
        half = tiny.to(torch.bfloat16)
        cache = half.new_cache(4)
        first, second = half.step(classes, cache), half.step(indices[:, 0], cache)
        full = half(indices, classes)
    assert (cache.memory.dtype, full.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(full, expected, atol=0.2, rtol=0.05)
    torch.testing.assert_close(torch.stack((first, second), dim=1), full[:, :2], atol=0.1, rtol=0.05)


def test_features_are_the_stream_between_blocks(tiny: ArModel, batch: tuple[Tensor, Tensor]) -> None:
    first, last = tiny.features(*batch, layer=1), tiny.features(*batch, layer=3)
    assert first.shape == (4, 16, 32)
    assert not torch.allclose(first, last)
    torch.testing.assert_close(tiny.logits(tiny.norm(last)), tiny(*batch))


@pytest.mark.parametrize("layer", [0, 4, -1])
def test_features_of_a_block_that_is_not_there_are_refused(
    tiny: ArModel, batch: tuple[Tensor, Tensor], layer: int
) -> None:
    with pytest.raises(GigatokError, match=f"layer {layer} is not in 1..3"):
        tiny.features(*batch, layer=layer)


def test_too_many_tokens_are_refused(tiny: ArModel) -> None:
    with pytest.raises(GigatokError, match="17 tokens"):
        tiny(torch.zeros(1, 17, dtype=torch.int64), torch.tensor([0]))


def test_class_dropout_feeds_the_null_class_in_training_alone() -> None:
    torch.manual_seed(0)
    model = ArModel(TINY.replace(dropout=0.0))
    torch.nn.init.normal_(model.head.weight)
    indices, classes = torch.zeros(400, 1, dtype=torch.int64), torch.full((400,), 2)
    with torch.no_grad():
        null = model.eval()(indices[:1], torch.tensor([5]))
        own = model(indices, classes)
        trained = model.train()(indices, classes)
    dropped = (trained - null).abs().amax(dim=(1, 2)) < 1e-5
    assert (own - null).abs().amax(dim=(1, 2)).min() > 1e-3
    assert 0.4 < dropped.float().mean() < 0.6
    torch.testing.assert_close(trained[~dropped], own[~dropped])


def test_dropout_acts_in_training_alone(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = ArModel(TINY.replace(class_dropout=0.0))
    torch.nn.init.normal_(model.head.weight)
    model.eval()
    assert torch.equal(model(*batch), model(*batch))
    model.train()
    assert not torch.allclose(model(*batch), model(*batch))


def test_dropout_is_on_embeddings_attention_and_feed_forward_output(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = ArModel(TINY.replace(dropout=0.25))
    inputs: dict[str, Tensor] = {}
    model.blocks[0].attention_norm.register_forward_pre_hook(lambda _, args: inputs.update(embedded=args[0]))
    torch.nn.init.zeros_(model.positional_embedding)
    model(*batch)
    x = torch.randn(4, 16, 32)
    outputs = [inputs["embedded"], model.blocks[0].attention(x), model.blocks[0].ffn(x)]
    assert [(out == 0).float().mean().item() for out in outputs] == pytest.approx([0.25] * 3, abs=0.05)


def test_a_few_updates_learn_a_repeated_sequence(batch: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = ArModel(TINY.replace(dropout=0.0, class_dropout=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(*batch).flatten(0, 1), batch[0].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(np.log(50), abs=1e-4)
    assert losses[-1] < 0.1
