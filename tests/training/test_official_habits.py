"""Where our training differs from the official one on purpose, and where it must not (docs/fidelity.md)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gigatok.config import ArConfig, CnnConfig, TokenizerConfig, TransformerSize
from gigatok.config.models import TokenizerModelSection
from gigatok.config.sections import TrainGeneratorSection, TrainTokenizerSection
from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.optim import learning_rate
from gigatok.training.code_usage import RecentCodes
from gigatok.training.generator_recipe import GeneratorRecipe, token_cross_entropy, validation_loss
from gigatok.training.tokenizer_recipe import TokenizerRecipe

SIZE = TransformerSize(width=16, depth=2, heads=2)
CNN = CnnConfig(channels=8, multipliers=(1, 1), encoder_blocks=1, decoder_blocks=1, mid_blocks=1, latent_channels=8,
                groups=4)  # fmt: skip


class Judge(nn.Module):
    """A discriminator that remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 3)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        out: Tensor = self.layer(images)
        return out


def section(**changes: object) -> TrainTokenizerSection:
    """Settings of a tiny tokenizer's training: the paper's but for shapes and what ``changes`` says."""
    loss = {"perceptual_weight": 0.0, "semantic_weight": 0.0, "discriminator": {"start_step": 0}}
    model = TokenizerModelSection(codebook_size=32, codebook_dim=4, cnn=CNN, sizes={"S": SIZE})
    settings = {"model": model, "loss": loss, "steps": 10, "batch_size": 2, **changes}
    return TrainTokenizerSection.model_validate(settings)


def recipe(settings: TrainTokenizerSection) -> TokenizerRecipe:
    """A recipe on a new tokenizer with a ``Judge``."""
    torch.manual_seed(0)
    config = TokenizerConfig(
        image_size=8, encoder=SIZE, decoder=SIZE, cnn=CNN, codebook_size=32, codebook_dim=4, alignment_layer=None,
        quantizer_gradient=settings.model.quantizer_gradient,
    )  # fmt: skip
    return TokenizerRecipe(Tokenizer(config, entropy_temperature=None), settings, Judge(), None)


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(2, 3, 8, 8) * 2 - 1


def test_update_k_is_made_with_the_rate_of_step_k_by_both_optimizers(images: Tensor) -> None:
    settings = section(optimizer={"warmup_steps": 4})
    training = recipe(settings)
    assert training.adversary is not None
    for step in range(6):
        training.step(step, images, None)
        expected = learning_rate(settings.optimizer, step, settings.steps)
        for optimizer in (training.optimizer, training.adversary.optimizer):
            assert {group["lr"] for group in optimizer.param_groups} == {expected}
    assert learning_rate(settings.optimizer, 0, 10) == pytest.approx(settings.optimizer.learning_rate / 100)


def test_the_generator_also_warms_up_from_its_first_update() -> None:
    settings = TrainGeneratorSection.model_validate(
        {"sizes": {"GPT-B": SIZE}, "steps": 10, "batch_size": 2, "optimizer": {"schedule": "wsd", "warmup_steps": 4}}
    )
    training = GeneratorRecipe(tiny_ar(), settings)
    training.step(0, torch.zeros(2, 4, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    rates = [group["lr"] for group in training.optimizer.param_groups]
    assert rates == pytest.approx([settings.optimizer.learning_rate / 100] * len(rates))


def test_the_discriminator_judges_the_image_of_before_the_update_and_never_the_shortcut(images: Tensor) -> None:
    training = recipe(section(loss={"perceptual_weight": 0, "semantic_weight": 0, "shortcut": {},
                                    "discriminator": {"start_step": 0}}))  # fmt: skip
    with torch.no_grad():
        before = training.tokenizer(images, shortcut=True)
    terms = training.step(0, images, None)
    assert training.adversary is not None
    judge = training.adversary.module
    assert isinstance(judge, Judge)
    generator_side, real, fake = judge.seen
    torch.testing.assert_close(generator_side, before.reconstruction)
    torch.testing.assert_close(fake, before.reconstruction)
    assert torch.equal(real, images)
    assert not torch.allclose(before.shortcut, before.reconstruction)
    assert {"shortcut_l2", "shortcut_feature"} <= set(terms)


def test_image_and_feature_of_the_shortcut_end_at_their_own_steps(images: Tensor) -> None:
    shortcut = {"image_end_step": 1, "feature_end_step": 2}
    training = recipe(section(loss={"perceptual_weight": 0, "semantic_weight": 0, "shortcut": shortcut,
                                    "discriminator": {"start_step": 9}}))  # fmt: skip
    found = [{name for name in training.step(step, images, None) if "shortcut" in name} for step in range(3)]
    assert found == [{"shortcut_l2", "shortcut_feature"}, {"shortcut_feature"}, set()]


def test_the_adversary_starts_at_its_step(images: Tensor) -> None:
    training = recipe(section(loss={"perceptual_weight": 0, "semantic_weight": 0, "discriminator": {"start_step": 2}}))
    found = ["adversarial" in training.step(step, images, None) for step in range(3)]
    assert found == [False, False, True]


def test_weights_are_averaged_only_on_request() -> None:
    assert recipe(section()).ema is None
    assert recipe(section(ema_decay=0.9999)).ema is not None


def test_code_0_counts_only_when_it_was_used() -> None:
    codes = RecentCodes(8, window=16)
    codes.add(torch.tensor([3, 5, 5]))
    assert codes.usage() == 2 / 8
    codes.add(torch.tensor([0]))
    assert codes.usage() == 3 / 8


LOSS_WEIGHTS = (
    "l2_weight", "l1_weight", "perceptual_weight", "adversarial_weight", "codebook_weight", "commitment_weight",
    "semantic_weight", "shortcut",
)  # fmt: skip


class Distance(nn.Module):
    """A perceptual network that is none."""

    def forward(self, images: Tensor, targets: Tensor) -> Tensor:
        return (images - targets).abs().mean((1, 2, 3))


@pytest.mark.parametrize("name", LOSS_WEIGHTS)
def test_every_setting_of_the_loss_acts(images: Tensor, name: str) -> None:
    def total(value: object) -> float:
        torch.manual_seed(0)
        config = TokenizerConfig(
            image_size=8, encoder=SIZE, decoder=SIZE, cnn=CNN, codebook_size=32, codebook_dim=4, alignment_layer=1,
            alignment_dim=4,
        )  # fmt: skip
        settings = section(loss={"discriminator": {"start_step": 0}, name: value})
        training = TokenizerRecipe(Tokenizer(config, entropy_temperature=None), settings, Judge(), Distance())
        return float(training.step(0, images, torch.ones(2, 16, 4))["loss"])

    low, high = (None, {}) if name == "shortcut" else (0.25, 0.75)
    assert total(low) != total(high)


def test_the_entropy_weight_acts(images: Tensor) -> None:
    losses = []
    for weight in (0.0, 0.005):
        settings = section(loss={"perceptual_weight": 0, "semantic_weight": 0, "entropy_weight": weight})
        training = recipe(settings)
        training.tokenizer.quantizer.entropy_temperature = 0.01
        losses.append(float(training.step(0, images, None)["loss"]))
    assert losses[0] != losses[1]


def tiny_ar() -> ArModel:
    """Four tokens of eight codes."""
    torch.manual_seed(0)
    return ArModel(ArConfig(width=16, depth=2, heads=2, codebook_size=8, num_tokens=4, num_classes=2))


def test_every_token_weighs_the_same_in_the_validation_loss() -> None:
    """65 images make batches of 64 and 1: the mean of batch means would count the last image 64 times."""
    model = tiny_ar()
    nn.init.normal_(model.head.weight)
    generator = torch.Generator().manual_seed(2)
    indices = torch.randint(0, 8, (65, 4), generator=generator)
    classes = torch.from_numpy(np.arange(65) % 2)
    found = validation_loss(model, indices, classes, device=torch.device("cpu"))
    with torch.no_grad():
        expected = float(token_cross_entropy(model.eval()(indices, classes), indices))
    assert found == pytest.approx(expected, rel=1e-5)
