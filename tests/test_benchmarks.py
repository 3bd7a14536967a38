"""What the benchmarks hold the project against computes the same, and their arithmetic is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F

from gigatok.config import ArConfig, CnnConfig, TokenizerConfig, TransformerSize
from gigatok.models import Tokenizer, products
from gigatok.models.ar import ArModel
from gigatok.models.quantizer import VectorQuantizer
from gigatok.sampling.cache import Cache
from gigatok.sampling.generate import Sampler
from gigatok.sampling.spec import SampleSpec
from gigatok.teachers.lpips import Lpips
from gigatok.training.distributed.adversary import Adversary
from gigatok.training.update import Update

if TYPE_CHECKING:
    from measuring import Case

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


def test_plain_programs_multiply_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """They walk through our modules, whose layers would bring the fast products along."""
    from plain import tokenizer as plain
    from plain.sampler import sample

    asked = []
    monkeypatch.setattr(products, "linear", lambda *arguments: asked.append(arguments) or F.linear(*arguments))
    torch.manual_seed(0)
    ar = ArModel(
        ArConfig(width=32, depth=1, heads=2, ffn_multiple_of=16, codebook_size=40, num_tokens=3, num_classes=6)
    ).eval()
    sample(ar, torch.tensor([0, 3]), torch.rand(2, 3, dtype=torch.float64), 2.0)
    tokenizer, images = Tokenizer(_small_tokenizer()).eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        plain.decode(tokenizer, plain.encode(tokenizer, images))
        plain.forward(tokenizer, images, lambda codes: codes)
        assert asked == []
        tokenizer.encode(images)
    assert asked


def test_the_plain_quantizer_has_the_same_losses() -> None:
    from plain.quantizer import quantize, rotate

    torch.manual_seed(0)
    quantizer = VectorQuantizer(64, 4, entropy_temperature=0.1)
    z, behind = torch.randn(20, 4, requires_grad=True), torch.randn(20, 4)
    expected = quantize(z, quantizer.codebook, 0.1)
    out = quantizer(z.unsqueeze(0))
    assert torch.equal(out.indices.flatten(), expected.indices)
    for name in ("codebook_loss", "commitment_loss", "entropy_loss"):
        torch.testing.assert_close(getattr(out, name), getattr(expected, name))
    rotated = rotate(expected.z, expected.z_q)
    torch.testing.assert_close(out.z_q[0], rotated)
    gradients = [torch.autograd.grad((found * behind).sum(), z)[0] for found in (out.z_q[0], rotated)]
    torch.testing.assert_close(*gradients)


def test_the_plain_tokenizer_codes_and_decodes_the_same() -> None:
    from plain import tokenizer as plain

    torch.manual_seed(0)
    tokenizer = Tokenizer(_small_tokenizer()).eval()
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    indices = plain.encode(tokenizer, images)
    assert torch.equal(tokenizer.encode(images), indices)
    torch.testing.assert_close(tokenizer.decode(indices), plain.decode(tokenizer, indices), atol=1e-5, rtol=1e-4)
    out = tokenizer(images)
    textbook = plain.forward(tokenizer, images, lambda z: out.codebook.z_q)
    torch.testing.assert_close(out.alignment, textbook.alignment, atol=1e-5, rtol=1e-4)


def _small_tokenizer() -> TokenizerConfig:
    size = TransformerSize(width=32, depth=2, heads=2)
    cnn = CnnConfig(channels=16, multipliers=(1, 2), latent_channels=16, groups=4, patch=2)
    return TokenizerConfig(
        image_size=32, num_tokens=16, encoder=size, decoder=size, cnn=cnn, codebook_size=50, alignment_layer=1
    )


def test_the_plain_loader_cuts_the_same_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    import loader

    monkeypatch.setattr(loader, "IMAGES", 4)
    loader.folder.cache_clear()
    for way in loader.WAYS:
        case = loader.case(32, way)
        ours, plain = case.ours(), case.plain()
        assert ours.shape == plain.shape == (4, 3, 32, 32)
        assert case.agree(ours, plain)
        assert not case.agree(ours, 255 - plain)
        assert torch.equal(ours, plain) == (way == "full")


def test_growth_is_the_exponent_of_a_power_law() -> None:
    from measuring import exponent

    assert exponent([1, 2, 4, 8], [3 * size**1.5 for size in (1, 2, 4, 8)]) == pytest.approx(1.5)


def _about(began: str, note: str = "", dirty: bool = False) -> dict[str, Any]:
    machine = {"processor": "a processor", "cores": 2, "torch": "1", "numpy": "2", "scipy": "3"}
    return {"run": {"began": began, "commit": "0123456789abcdef", "dirty": dirty}, "machine": machine, "note": note}


def _result(*rows: tuple[str, float, float]) -> dict[str, Any]:
    """Of cases, how many times faster, and sizes, which are seconds too."""
    return {
        "title": "Some work",
        "threads": 1,
        "rows": [
            {
                "case": case,
                "seconds": {"ours": size, "plain": ratio * size},
                "times_faster": {"fastest": ratio, "least": ratio, "most": ratio},
                "repeats": 1,
                "once_seconds": 0.25 if case == "a" else None,
                "peak_memory_mb": {"ours": None, "plain": 3.0},
                "share_of_peak": {"arithmetic": 0.5, "memory": None},
                "peaks": {"fp32": 100.0 * size, "copy": 20.0},
                "growth": {"size": size},
            }
            for case, ratio, size in rows
        ],
    }


def test_rows_of_one_run_tell_all() -> None:
    from run import markdown, merge

    stored: dict[str, Any] = {}
    merge(stored, "some", _result(("a", 2.0, 1.0), ("b-fp32", 2.0, 4.0), ("b-bf16", 3.0, 2.0)), _about("1"), True)
    table = markdown(stored)
    assert "| a | 2.00 (2.00 to 2.00) |  | 1 | 2 | 0.25 | not told / 3 | arithmetic 50% |" in table
    assert "| b-bf16 | 3.00 (3.00 to 3.00) | 4.00 | 2 | 6 |  |" in table
    assert "Time grows with size as size^1.00" in table
    where = "a processor, 1 of 2 cores, torch 1, numpy 2, scipy 3; fp32 100 to 400 GFLOP/s, copy 20 GB/s\n"
    assert f"- 1, commit 0123456789ab; {where}" in table


def test_rows_of_other_runs_are_told_apart_and_end_with_a_whole_run() -> None:
    from run import markdown, merge

    stored: dict[str, Any] = {}
    merge(stored, "some", _result(("a", 2.0, 1.0), ("b", 3.0, 4.0)), _about("1"), False)
    merge(stored, "some", _result(("b", 5.0, 64.0)), _about("2", "busy", dirty=True), False)
    assert [row["times_faster"]["fastest"] for row in stored["some"]["rows"]] == [2.0, 5.0]
    table = markdown(stored)
    assert "Time grows with" not in table  # each run has one size
    assert "commit 0123456789ab with changes" in table
    assert "busy: b" in table
    merge(stored, "other", _result(("c", 2.0, 1.0)), _about("3"), True)
    merge(stored, "some", _result(("a", 2.0, 1.0)), _about("3"), True)
    assert {name: [row["case"] for row in group["rows"]] for name, group in stored.items()} == {
        "other": ["c"],
        "some": ["a"],
    }


def test_a_case_runs_in_the_file_that_has_it() -> None:
    from run import DEFAULT, FILES, choose

    assert choose([], None) == {name: DEFAULT.get(name) for name in FILES}
    assert choose(["frechet", "quantizer"], ["256-dimensions"]) == {"frechet": ["256-dimensions"]}
    with pytest.raises(ValueError, match="case 'none' is unknown: choose among frechet: 256-dimensions, "):
        choose(["frechet"], ["none"])
    with pytest.raises(ValueError, match="file 'none' is unknown: choose among sampling, "):
        choose(["none"], None)


def test_a_row_has_memory_with_what_runs_leave_behind_and_what_was_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    import measuring
    from measuring import Case, clock_of, measured

    monkeypatch.setattr(measuring, "SIDE", 64)
    monkeypatch.setattr(measuring, "COPIED", 2**12)
    monkeypatch.setattr(measuring, "ENOUGH", 0.0)
    ready: list[torch.Tensor] = []
    held: list[torch.Tensor] = []

    def work(megabytes: int) -> float:
        return float(torch.ones(megabytes * 2**18).sum())

    def leaving() -> float:
        held[:] = [torch.ones(20 * 2**18)]  # 20 MB
        return work(30)

    case = Case(
        leaving, lambda: work(30), lambda a, b: a == b, flops=1.0, dtype=torch.float64, growth={"size": 2},
        once=lambda: ready.append(torch.ones(40 * 2**18)), keeps=True,
    )  # fmt: skip
    row = measured("case", lambda: case, clock_of(1), 2)
    assert row["growth"] == {"size": 2}
    assert row["repeats"] == 2
    assert row["once_seconds"] > 0
    assert set(row["peaks"]) == {"fp32", "bf16", "fp64", "copy"}
    if row["peak_memory_mb"]["ours"] is not None:
        assert row["peak_memory_mb"]["ours"] == pytest.approx(40 + 20 + 30, abs=25)  # a moment both of what is left
        assert row["peak_memory_mb"]["plain"] == pytest.approx(30, abs=5)
    with pytest.raises(SystemExit, match="case: the two implementations disagree"):
        measured("case", lambda: case._replace(agree=lambda a, b: a != b), clock_of(1), 2)


def test_a_run_that_was_disturbed_moves_the_range_and_not_the_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    import measuring
    from measuring import Case, measured

    monkeypatch.setattr(measuring, "SIDE", 8)
    monkeypatch.setattr(measuring, "COPIED", 8)
    now = [0.0]

    def clock() -> float:
        now[0] += 1e-9
        return now[0]

    def lasting(seconds: list[float]) -> Callable[[], None]:
        left = iter(seconds)
        return lambda: now.__setitem__(0, now[0] + next(left))

    ours, plain = [9.0, 9.0, 1.0, 3.0, 1.0], [9.0, 9.0, 2.0, 2.0, 8.0]  # the first two warm up and tell the memory
    monkeypatch.setattr(measuring, "SLOW", 100.0)
    row = measured("case", lambda: Case(lasting(ours), lasting(plain), lambda a, b: True), clock, 3)
    assert row["repeats"] == 3
    assert row["times_faster"] == pytest.approx({"fastest": 2.0, "least": 2 / 3, "most": 8.0})
    assert row["seconds"] == pytest.approx({"ours": 1.0, "plain": 2.0})


def test_the_textbook_knows_tokens_that_a_broken_model_drew(monkeypatch: pytest.MonkeyPatch) -> None:
    import sampling
    from plain.sampler import intervals, sample

    torch.manual_seed(0)
    ar = ArModel(
        ArConfig(width=64, depth=2, heads=2, ffn_multiple_of=16, codebook_size=400, num_tokens=12, num_classes=6)
    ).eval()
    for parameter in (*ar.blocks.parameters(), ar.head.weight):
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, std=0.5)
    ar = ar.bfloat16()
    classes, uniforms = torch.tensor([0, 3, 5]), torch.rand(3, 12, dtype=torch.float64)
    least, most = intervals(ar, classes, sample(ar, classes, uniforms, sampling.CFG_SCALE), sampling.CFG_SCALE)
    assert ((least <= uniforms) & (uniforms < most)).all()

    def missed() -> float:
        drawn = Sampler(ar, SampleSpec.of(cfg_scale=sampling.CFG_SCALE), 12)(classes, uniforms)
        return sampling.missed(ar, classes, uniforms, drawn)

    assert missed() < sampling.NEAR[torch.bfloat16]
    monkeypatch.setattr(Cache, "attend", lambda self, block, qkv: qkv.chunk(3, dim=-1)[2])  # no earlier token
    assert missed() > 2 * sampling.NEAR[torch.bfloat16]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_both_training_steps_do_the_same(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import training_step

    if precision == "bf16":  # the count of operations, which takes longest, is the same
        monkeypatch.setattr(training_step, "trace_tokenizer", lambda *_, **__: SimpleNamespace(flops=1))
    case = _training_step(precision)
    ours, plain = case.ours(), case.plain()
    assert case.agree(ours, plain)


@pytest.mark.parametrize("broken", ["backward pass", "update", "discriminator", "perceptual loss"])
def test_a_training_step_that_leaves_something_out_is_seen(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import training_step

    monkeypatch.setattr(training_step, "trace_tokenizer", lambda *_, **__: SimpleNamespace(flops=1))  # takes longest
    case = _training_step("bf16")
    if broken == "backward pass":
        monkeypatch.setattr(Update, "add", lambda self, loss: None)
    elif broken == "update":
        monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    elif broken == "discriminator":
        monkeypatch.setattr(Adversary, "step", lambda self, rate, real, fakes: {})
    else:
        monkeypatch.setattr(Lpips, "weigh", lambda self, index, squares: squares.mean((1, 2, 3)))
    ours = case.ours()
    monkeypatch.undo()
    assert not case.agree(ours, case.plain())


def _training_step(precision: str) -> Case:
    """Of a tokenizer small enough for a test."""
    import training_step

    return training_step.case(32, precision, _small_tokenizer())
