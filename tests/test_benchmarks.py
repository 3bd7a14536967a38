"""What the benchmarks hold the project against computes the same, and their arithmetic is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from gigatok.config import ArConfig, CnnConfig, TokenizerConfig, TransformerSize
from gigatok.models import Tokenizer
from gigatok.models.ar import ArModel
from gigatok.models.quantizer import VectorQuantizer
from gigatok.sampling.generate import Sampler
from gigatok.sampling.spec import SampleSpec

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_plain_sampler_draws_the_same_tokens() -> None:
    from plain.sampler import sample

    torch.manual_seed(0)
    ar = ArModel(
        ArConfig(width=32, depth=2, heads=2, ffn_multiple_of=16, codebook_size=40, num_tokens=12, num_classes=6)
    )
    torch.nn.init.normal_(ar.head.weight)
    classes, uniforms = torch.tensor([0, 3, 5]), torch.rand(3, 12, dtype=torch.float64)
    expected = sample(ar.eval(), classes, uniforms, 2.0)
    assert torch.equal(Sampler(ar, SampleSpec.of(cfg_scale=2.0), 12)(classes, uniforms), expected)


def test_the_plain_quantizer_has_the_same_losses() -> None:
    from plain.quantizer import quantize

    torch.manual_seed(0)
    quantizer = VectorQuantizer(64, 4, entropy_temperature=0.1)
    z = torch.randn(20, 4)
    indices, loss = quantize(z, quantizer.codebook, 0.1)
    out = quantizer(z.unsqueeze(0))
    assert torch.equal(out.indices.flatten(), indices)
    torch.testing.assert_close(out.codebook_loss + out.commitment_loss + out.entropy_loss, loss)


def test_the_plain_tokenizer_codes_and_decodes_the_same() -> None:
    from plain import tokenizer as plain

    torch.manual_seed(0)
    size = TransformerSize(width=32, depth=2, heads=2)
    cnn = CnnConfig(channels=16, multipliers=(1, 2), latent_channels=16, groups=4, patch=2)
    tokenizer = Tokenizer(
        TokenizerConfig(
            image_size=32, num_tokens=16, encoder=size, decoder=size, cnn=cnn, codebook_size=50, alignment_layer=1
        )
    ).eval()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    indices = plain.encode(tokenizer, images)
    assert torch.equal(tokenizer.encode(images), indices)
    torch.testing.assert_close(tokenizer.decode(indices), plain.decode(tokenizer, indices), atol=1e-5, rtol=1e-4)
    out = tokenizer(images)
    textbook = plain.forward(tokenizer, images, lambda z: out.codebook.z_q)
    torch.testing.assert_close(out.alignment, textbook.alignment, atol=1e-5, rtol=1e-4)


def test_the_plain_loader_cuts_the_same_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    import loader

    monkeypatch.setattr(loader, "IMAGES", 4)
    loader.folder.cache_clear()
    for decoding in ("full", "reduced"):
        case = loader.case(32, decoding)
        ours, plain = case.ours(), case.plain()
        assert ours.shape == plain.shape == (4, 3, 32, 32)
        assert case.agree(ours, plain)
        assert not case.agree(ours, 255 - plain)
        assert torch.equal(ours, plain) == (decoding == "full")


def test_growth_is_the_exponent_of_a_power_law() -> None:
    from measuring import exponent

    assert exponent([1, 2, 4, 8], [3 * size**1.5 for size in (1, 2, 4, 8)]) == pytest.approx(1.5)


def test_new_rows_take_the_place_of_old_ones_and_the_table_tells_all() -> None:
    from run import _merge, markdown

    def row(case: str, ratio: float, size: float) -> dict[str, Any]:
        return {
            "case": case,
            "seconds": {"ours": size, "plain": ratio * size},
            "times_faster": {"median": ratio, "least": ratio, "most": ratio},
            "repeats": 1,
            "peak_memory_mb": {"ours": None, "plain": 3.0},
            "share_of_peak": {"arithmetic": 0.5, "memory": None},
            "growth": "size",
            "size": size,
        }

    group: dict[str, Any] = {"title": "Some work", "rows": []}
    peaks = {"fp32": 100.0, "bf16": 200.0, "copy": 20.0}
    _merge(group, {"threads": 1, "peaks": peaks, "rows": [row("a", 2.0, 1.0), row("b", 3.0, 4.0)]}, "")
    _merge(group, {"threads": 1, "peaks": peaks, "rows": [row("b", 5.0, 4.0)]}, "busy")
    half = row("b", 2.0, 4.0)
    _merge(group, {"threads": 1, "peaks": peaks, "rows": [{**half, "case": "b-bf16"}, {**half, "case": "b-fp32"}]}, "")
    table = markdown({"some": group})
    assert [stored["case"] for stored in group["rows"]] == ["a", "b", "b-bf16", "b-fp32"]
    assert "| b | 5.00 (5.00 to 5.00) |  | 4 | 20 | not told / 3 | arithmetic 50% |" in table
    assert "| b-bf16 | 2.00 (2.00 to 2.00) | 2.00 | 4 | 8 |" in table
    assert "Time grows with size as size^1.00" in table
    assert "busy: b" in table


def test_both_training_steps_have_the_same_error() -> None:
    import training_step

    case = training_step.case(32, "fp32")
    assert case.agree(case.ours(), case.plain())
