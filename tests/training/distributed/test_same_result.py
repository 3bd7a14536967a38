"""The global batch is the batch: the result does not depend on how many processes and passes share it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
import torch.nn.functional as F
from cases import Case, Result
from conftest import ELASTIC, HALF, KINDS, SPREAD, STOP, resumed, saving

from gigatok.models.products import linear

pytestmark = pytest.mark.long(95)

GOLDEN = Path(__file__).with_name("golden.json")
"""Losses of one process, and the arithmetic that made them. Rewrite by hand, with a reason, when a change is meant to
alter them."""
RELATIVE = 1e-5
NORM_RELATIVE = 1e-3
"""Of gradient norms, which are no losses: what is divided by the norm of a short vector magnifies rounding."""
HALF_RELATIVE = 1e-3
"""Of losses in bf16, with and without shards."""
HALF_ROUNDED = 5e-3
"""Of gradient norms in bf16, which rounds to 2^-9, gradients here more than once."""
ABSOLUTE = 5e-6
"""For terms near 0 that are differences of larger numbers: means of logits, the entropy loss."""


def assert_equal_losses(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    assert len(found) == len(expected) > 0
    for step, (mine, others) in enumerate(zip(found, expected, strict=True)):
        norms = {name for name in others if name.endswith("gradient_norm")}
        for names, relative in ((others.keys() - norms, RELATIVE), (norms, NORM_RELATIVE)):
            expected_terms = {name: others[name] for name in names}
            assert {name: mine[name] for name in names} == pytest.approx(expected_terms, rel=relative, abs=ABSOLUTE), (
                step
            )


def arithmetic() -> str:
    """What tells one processor's and library's rounding from another's: a hash of a few results, and their versions."""
    generator = torch.Generator().manual_seed(0)
    images, kernels, rows, matrix = (
        torch.randn(*shape, generator=generator) for shape in ((2, 8, 9, 9), (8, 8, 3, 3), (33, 65), (64, 65))
    )
    convolved = F.conv2d(images, kernels, padding=1)
    products = F.layer_norm(rows @ rows.t(), (33,)).softmax(-1)
    digest = hashlib.sha256()
    for each in (
        convolved,
        F.group_norm(convolved, 2),
        F.gelu(convolved).sum((2, 3)),
        products,
        products.exp().mean(0),
        linear(rows, matrix),
    ):
        digest.update(each.contiguous().numpy().tobytes())
    version, kernels_for = torch.__version__.split("+")[0], torch.backends.cpu.get_cpu_capability()
    return f"torch {version}, {kernels_for}, {torch.get_num_threads()} threads, {digest.hexdigest()}"


def assert_equal(found: Result, expected: Result, first: int = 0) -> None:
    assert len(expected.losses) == cases.STEPS
    assert_equal_losses(found.losses, expected.losses[first:])
    assert found.weights.keys() == expected.weights.keys()
    for name, value in expected.weights.items():
        acting = _acting(name, len(value) if value.dim() else 0)
        difference = (found.weights[name] - value).abs()[acting].max()
        assert difference < 1e-5, (name, float(difference))
    assert torch.equal(found.indices, expected.indices)


def _acting(name: str, rows: int) -> torch.Tensor:
    """Rows of a weight on which the loss depends. AdamW turns the rounding in the gradient of the others, which is 0,
    into steps of full size.

    Those are key biases, which add the same to all scores of a query, and queries and keys where the decoder's first
    self-attention looks at copies of one token.
    """
    acting = torch.ones(rows, dtype=torch.bool)
    width = rows // 3
    if name.endswith("attention.qkv.bias"):
        acting[width : 2 * width] = False
    if "transformer_decoder.blocks.0.self_attention.qkv" in name:
        acting[: 2 * width] = False
    return acting


@pytest.mark.parametrize("kind", KINDS)
def test_one_process_repeats_the_losses_on_record(alone: dict[str, Any], kind: str) -> None:
    """Bit by bit where the arithmetic is that of the record, else to rounding."""
    record = json.loads(GOLDEN.read_text())
    assert_equal_losses(alone[kind].losses, record[kind])
    if arithmetic() == record["arithmetic"]:
        assert alone[kind].losses == record[kind]


def test_the_record_has_every_term_on() -> None:
    terms = set().union(*json.loads(GOLDEN.read_text())["tokenizer"])
    assert {"adversarial", "entropy", "semantic", "shortcut_l2", "shortcut_feature", "perceptual"} <= terms


@pytest.mark.parametrize("case", [Case("tokenizer", micro_batches=4), Case("generator", micro_batches=2)], ids=str)
def test_micro_batches_on_one_process(alone: dict[str, Any], case: Case) -> None:
    assert_equal(cases.train(case), alone[case.kind])


@pytest.mark.parametrize(("world", "case"), [(world, case) for world in SPREAD for case in SPREAD[world]], ids=str)
def test_several_processes(alone: dict[str, Any], spread: dict[Any, Any], world: int, case: Case) -> None:
    expected = alone[case.kind] if case.batch == cases.BATCH else cases.train(Case(case.kind, batch=case.batch))
    assert_equal(spread[world, case], expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ELASTIC)
def test_a_state_serves_any_number_of_processes(
    alone: dict[str, Any], spread: dict[Any, Any], states: Path, name: str, kind: str
) -> None:
    """Saved in the middle of a run, while training went on; losses from there and final weights are the same."""
    case, world = resumed(states, name, kind), ELASTIC[name]
    found = cases.train(case) if world == 1 else spread[world, case]
    assert_equal(found, alone[kind], first=STOP)


@pytest.mark.parametrize("kind", KINDS)
def test_saving_changes_no_result(alone: dict[str, Any], spread: dict[Any, Any], states: Path, kind: str) -> None:
    assert_equal(spread[2, saving(states, "from 2 to 1", kind)], alone[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_shards_in_half_precision_learn_what_whole_models_do(
    alone: dict[str, Any], spread: dict[Any, Any], kind: str
) -> None:
    """Autocast rounds a whole model's weights as gathering shards does; sums of gradients and weights are float32.

    Gradients are rounded in another order, and a code that flips makes more of it: the first update tells.
    """
    whole, shards = (spread[2, HALF[kind, strategy]] for strategy in ("ddp", "fsdp"))
    first, other = shards.losses[0], whole.losses[0]
    assert first["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=HALF_ROUNDED)
    for mine, others in zip(shards.losses[:2], whole.losses[:2], strict=True):
        assert mine["loss"] == pytest.approx(others["loss"], rel=HALF_RELATIVE)
    for mine, exact in zip(shards.losses, alone[kind].losses, strict=False):
        assert mine["loss"] == pytest.approx(exact["loss"], rel=0.05)
    assert all(value.dtype == torch.float32 for value in shards.weights.values() if value.is_floating_point())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("recompute", ["norms", "blocks"])
def test_recomputation_changes_no_bit(alone: dict[str, Any], kind: str, recompute: str) -> None:
    found = cases.train(Case(kind, recompute=recompute))
    assert found.losses == alone[kind].losses
    assert all(torch.equal(found.weights[name], value) for name, value in alone[kind].weights.items())


def test_dropout_depends_on_the_place_in_the_batch_alone() -> None:
    """The same micro-batches give the same masks; others give others."""
    first = cases.train(Case("generator", micro_batches=2, dropout=0.2, steps=3))
    again = cases.train(Case("generator", micro_batches=2, dropout=0.2, steps=3))
    other = cases.train(Case("generator", micro_batches=4, dropout=0.2, steps=3))
    assert first.losses == again.losses
    assert first.losses[2] != other.losses[2]


def test_statistics_groups_matter() -> None:
    """Without them the parts of a batch would see statistics of their own: this is what the settings prevent."""
    torch.manual_seed(0)
    images = torch.rand(8, 3, 16, 16)
    whole, grouped = cases.PatchGan(8, 2), cases.PatchGan(8, 2, statistics_group=2)
    grouped.load_state_dict(whole.state_dict())
    with torch.no_grad():
        parts = torch.cat([whole(part) for part in images.split(2)])
        assert not torch.allclose(whole(images), parts, atol=1e-3)
        torch.testing.assert_close(grouped(images), parts)
