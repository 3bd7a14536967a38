"""Parameter groups and AdamW."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    shapes=st.lists(st.lists(st.integers(1, 7), min_size=1, max_size=3), min_size=1, max_size=4),
    betas=st.tuples(st.sampled_from([0.0, 0.9]), st.sampled_from([0.95, 0.999])),
    decay=st.sampled_from([0.0, 0.1]),
    everything=st.booleans(),
    updates=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_fused_updates_are_the_textbooks_for_any_shapes(
    shapes: list[list[int]],
    betas: tuple[float, float],
    decay: float,
    everything: bool,
    updates: int,
    seed: int,
) -> None:
    """Loshchilov & Hutter 2019, algorithm 2, tensor by tensor in float64, with another rate at each update."""
    torch.manual_seed(seed)
    module = nn.ParameterList(torch.randn(shape) for shape in shapes)
    section = OptimizerSection(learning_rate=0.1, weight_decay=decay, betas=betas, decay_all_parameters=everything)
    optimizer = build_adamw(module, section)
    weights = [weight.detach().double() for weight in module]
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    for update in range(1, updates + 1):
        rate = 0.1 / update
        for group in optimizer.param_groups:
            group["lr"] = rate
        for place, parameter in enumerate(module):
            gradient = torch.randn_like(parameter)
            parameter.grad = gradient
            gradient = gradient.double()
            first[place] = betas[0] * first[place] + (1 - betas[0]) * gradient
            second[place] = betas[1] * second[place] + (1 - betas[1]) * gradient**2
            mean, square = first[place] / (1 - betas[0] ** update), second[place] / (1 - betas[1] ** update)
            own_decay = decay if everything or parameter.ndim > 1 else 0.0
            weights[place] = (1 - rate * own_decay) * weights[place] - rate * mean / (square.sqrt() + 1e-8)
        optimizer.step()
    for parameter, expected in zip(module, weights, strict=True):
        torch.testing.assert_close(parameter.detach().double(), expected, atol=1e-5, rtol=1e-5)


def test_section_reaches_the_optimizer(module: nn.Module) -> None:
    optimizer = build_adamw(module, OptimizerSection(learning_rate=0.01, betas=(0.7, 0.8), weight_decay=0.2))
    assert optimizer.defaults["betas"] == (0.7, 0.8)
    assert [group["lr"] for group in optimizer.param_groups] == [0.01]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2]
