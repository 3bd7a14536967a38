"""Parameter groups and AdamW."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gigatok.config.sections import OptimizerSection
from gigatok.optim import build_adamw, parameter_groups


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Embedding(5, 4))


def test_all_parameters_decay_when_the_section_says_so(module: nn.Module) -> None:
    (group,) = parameter_groups(module, OptimizerSection(weight_decay=0.3, decay_all_parameters=True))
    assert group["weight_decay"] == 0.3
    assert len(group["params"]) == 5


def test_otherwise_only_matrices_decay(module: nn.Module) -> None:
    decayed, rest = parameter_groups(module, OptimizerSection(weight_decay=0.3, decay_all_parameters=False))
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(module[0].weight), id(module[2].weight)}
    assert {id(p) for p in rest["params"]} == {id(module[0].bias), id(module[1].weight), id(module[1].bias)}


def test_frozen_parameters_and_empty_groups_are_left_out(module: nn.Module) -> None:
    module[0].requires_grad_(False)
    module[1].requires_grad_(False)
    (group,) = parameter_groups(module, OptimizerSection(decay_all_parameters=False))
    assert [id(p) for p in group["params"]] == [id(module[2].weight)]


def test_one_update_is_the_textbook_one() -> None:
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    module = nn.Module()
    module.weight = weight
    section = OptimizerSection(learning_rate=0.1, weight_decay=0.5, betas=(0.8, 0.9))
    weight.grad = torch.tensor([[0.25, -4.0]])
    build_adamw(module, section).step()
    # Bias-corrected, the first update is the sign of the gradient; decay shrinks the weight by lr * decay first.
    torch.testing.assert_close(weight.detach(), torch.tensor([[1.0 * 0.95 - 0.1, -2.0 * 0.95 + 0.1]]))


def test_section_reaches_the_optimizer(module: nn.Module) -> None:
    optimizer = build_adamw(module, OptimizerSection(learning_rate=0.01, betas=(0.7, 0.8), weight_decay=0.2))
    assert optimizer.defaults["betas"] == (0.7, 0.8)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2]
