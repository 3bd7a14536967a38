"""One step of the tokenizer's training: codebook restarts, schedules, scalers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gigatok.config import Params
from gigatok.models.discriminator import PatchGan
from gigatok.models.tokenizer import Tokenizer
from gigatok.optim import learning_rate
from gigatok.teachers.base import PerceptualNetwork
from gigatok.training.precision import as_stored
from gigatok.training.tokenizer_recipe import TokenizerRecipe


def recipe(project: Any, perceptual: PerceptualNetwork | None = None, **changes: Any) -> TokenizerRecipe:
    params: Params = project.params(changes, {})
    section = params.tokenizer_training("T")
    torch.manual_seed(0)
    tokenizer = Tokenizer(params.tokenizer_model("T", alignment_dim=1), entropy_temperature=None)
    return TokenizerRecipe(tokenizer, section, PatchGan(4, 1), perceptual)


class Perceived(PerceptualNetwork):
    """One convolution whose maps are noted, and a head of another."""

    def __init__(self) -> None:
        super().__init__("perceived", "sha")
        self.conv, self.head = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 1, 1)
        self.requires_grad_(False)
        self.types: list[torch.dtype] = []

    def maps(self, images: Tensor) -> list[Tensor]:
        found = self.conv(images)
        self.types.append(found.dtype)
        return [found]

    def weigh(self, index: int, squares: Tensor) -> Tensor:
        weighed = self.head(squares)
        self.types.append(weighed.dtype)
        return weighed.mean((1, 2, 3))


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_the_perceptual_network_has_the_precision_of_training_and_its_distances_have_not(
    project: Any, images: Tensor, precision: str, expected: torch.dtype
) -> None:
    network = Perceived()
    training = recipe(project, network, precision=precision)
    terms = training.step(0, images, None)
    assert network.types == [expected, expected, torch.float32]
    assert terms["perceptual"].dtype == torch.float32
    assert terms["perceptual"] != 0


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_codebook_starts_from_data(project: Any, images: Tensor) -> None:
    """Before update 0 every code becomes an encoder output of the first batch (48 positions for 16 codes)."""
    training = recipe(project)
    with torch.no_grad():
        outputs = F.normalize(training.tokenizer.encode_continuous(images).flatten(0, 1), dim=1)
    training._restart_codes(0, images)
    codes = training.tokenizer.quantizer.codebook.detach()
    distances = (codes[:, None] - outputs).abs().amax(dim=2)
    assert distances.min(dim=1).values.max() < 1e-6
    assert len(distances.argmin(dim=1).unique()) == 16


def test_later_only_unused_codes_are_replaced_and_only_when_due(project: Any, images: Tensor) -> None:
    training = recipe(project, codebook_restart={"every": 3, "until_step": 6})
    training.step(0, images, None)
    for step in range(1, 9):
        codebook = training.tokenizer.quantizer.codebook
        before = codebook.detach().clone()
        used = torch.zeros(16, dtype=torch.bool)
        used[:10] = True
        training.codes.take_used()
        training.codes.add(torch.arange(10))
        training._restart_codes(step, images)
        changed = (codebook != before).any(dim=1)
        assert torch.equal(changed, ~used if step == 3 else torch.zeros_like(used)), step


def test_without_restarts_the_codebook_keeps_its_own_start(project: Any, images: Tensor) -> None:
    training = recipe(project, codebook_restart={"until_step": 0})
    before = training.tokenizer.quantizer.codebook.detach().clone()
    training._restart_codes(0, images)
    assert torch.equal(training.tokenizer.quantizer.codebook, before)


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_the_update_follows_the_schedule(project: Any, images: Tensor, schedule: str) -> None:
    """Adam's first update moves a weight by the rate itself; later rates are those in the optimizer when it steps."""
    training = recipe(project, optimizer={"schedule": schedule, "warmup_steps": 2, "weight_decay": 0.0})
    section = training.section
    rates: list[float] = []
    training.optimizer.register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    before = training.tokenizer.to_code.bias.detach().clone()
    for step in range(8):
        training.step(step, images, None)
        if step == 0:
            moved = (training.tokenizer.to_code.bias.detach() - before).abs()
    assert rates == [learning_rate(section.optimizer, step, 8) for step in range(8)]
    assert len(set(rates)) == {"cosine": 8, "wsd": 4, "constant": 3}[schedule]
    torch.testing.assert_close(moved, torch.full_like(moved, rates[0]), rtol=0.05, atol=0)


def test_an_overflowing_fp16_gradient_skips_the_update_and_is_no_divergence(project: Any, images: Tensor) -> None:
    training = recipe(project, precision="fp16")
    training.update.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)  # the scaled gradient overflows
    training.codes.add(torch.arange(16))
    before = [parameter.detach().clone() for parameter in training.tokenizer.parameters()]
    terms = training.step(1, images, None)
    assert float(terms["gradient_norm"]) == 0
    assert all(value.isfinite() for value in terms.values())
    assert all(torch.equal(a, b) for a, b in zip(before, training.tokenizer.parameters(), strict=True))
    assert training.update.scaler.get_scale() == 2.0**99


def test_the_generator_side_leaves_the_discriminator_alone(project: Any, images: Tensor) -> None:
    training = recipe(project, loss={"discriminator": {"start_step": 0}})
    assert training.adversary is not None
    judge = training.adversary.module
    assert isinstance(judge, PatchGan)

    def generator_side() -> Any:
        return training._generator_loss(0, images, None, training.tokenizer(images), training.adversary, slice(0, 3))

    terms, loss = generator_side()
    torch.autograd.backward(loss)
    assert "adversarial" in terms
    assert all(parameter.grad is None for parameter in judge.parameters())
    assert all(parameter.requires_grad for parameter in judge.parameters())
    only = torch.autograd.grad(generator_side()[1], [training.tokenizer.from_code.weight])
    assert only[0].abs().sum() > 0


def test_the_stored_view_gives_the_weights_back(project: Any, images: Tensor) -> None:
    training = recipe(project, ema_decay=0.5)
    training.step(0, images, None)
    training.step(1, images, None)
    own = {name: value.clone() for name, value in training.tokenizer.state_dict().items()}
    assert training.ema is not None
    with as_stored(training.tokenizer, training.ema) as stored:
        assert not stored.training
        assert torch.equal(stored.to_code.weight, training.ema.averages["to_code.weight"])
        assert not torch.equal(stored.to_code.weight, own["to_code.weight"])
    assert training.tokenizer.training
    assert all(torch.equal(value, own[name]) for name, value in training.tokenizer.state_dict().items())


def test_no_step_walks_through_the_parts_of_the_model(
    project: Any, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk takes as long as averaging, and a model of many small parts was walked through five times a step."""
    training = recipe(project, ema_decay=0.9)
    training.adversary = None
    training.step(0, images, None)
    walks: list[torch.nn.Module] = []
    walk = torch.nn.Module.named_modules

    def counted(self: torch.nn.Module, *arguments: Any, **options: Any) -> Any:
        walks.append(self)
        return walk(self, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "named_modules", counted)
    training.step(1, images, None)
    assert not walks
