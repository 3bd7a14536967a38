"""LARS against a slow reference written from its definition, and a problem it must solve."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from gigatok.optim import Lars


def slow_lars(weights: list[float], gradients: list[list[float]], *, matrix: bool, decay: float) -> list[float]:
    """The definition on plain numbers: lr 0.5, momentum 0.9, trust 0.01."""
    velocity = [0.0] * len(weights)
    for gradient in gradients:
        update = list(gradient)
        if matrix:
            update = [g + decay * w for g, w in zip(update, weights, strict=True)]
            norm_w = math.sqrt(sum(w * w for w in weights))
            norm_g = math.sqrt(sum(g * g for g in update))
            scale = 0.01 * norm_w / norm_g if norm_w > 0 and norm_g > 0 else 1.0
            update = [scale * g for g in update]
        velocity = [0.9 * v + g for v, g in zip(velocity, update, strict=True)]
        weights = [w - 0.5 * v for w, v in zip(weights, velocity, strict=True)]
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(2, 3), (6,)])
@pytest.mark.parametrize("start", ["random", "zeros"])
def test_agrees_with_the_definition(shape: tuple[int, ...], decay: float, start: str) -> None:
    generator = torch.Generator().manual_seed(0)
    value = torch.randn(shape, generator=generator) if start == "random" else torch.zeros(shape)
    gradients = [torch.randn(shape, generator=generator) for _ in range(4)]
    expected = slow_lars(
        value.flatten().tolist(),
        [gradient.flatten().tolist() for gradient in gradients],
        matrix=len(shape) > 1,
        decay=decay,
    )
    parameter = nn.Parameter(value.clone())
    optimizer = Lars([parameter], lr=0.5, trust_coefficient=0.01, weight_decay=decay)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    torch.testing.assert_close(parameter.detach().flatten(), torch.tensor(expected))


def test_parameters_without_gradient_stay_and_zero_gradients_do_no_harm() -> None:
    still, zero = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    optimizer = Lars([still, zero], lr=1.0)
    zero.grad = torch.zeros(2, 2)
    optimizer.step()
    assert torch.equal(still, torch.ones(2, 2))
    assert torch.equal(zero, torch.ones(2, 2))


def test_state_resumes_bit_for_bit() -> None:
    first = nn.Parameter(torch.tensor([[1.0, 2.0]]))
    optimizer = Lars([first], lr=0.1)
    first.grad = torch.tensor([[0.3, -0.2]])
    optimizer.step()
    second = nn.Parameter(first.detach().clone())
    resumed = Lars([second], lr=99.0)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    second.grad = first.grad.clone()
    optimizer.step()
    resumed.step()
    assert torch.equal(first, second)
    assert first[0, 0].item() < 1.0


def test_closure_is_called_and_its_loss_returned() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.tensor([[3.0]]))
    optimizer = Lars([weight], lr=1.0, trust_coefficient=0.1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = (weight**2).sum()
        loss.backward()
        return loss.item()

    losses = [optimizer.step(closure) for _ in range(30)]
    assert losses[0] == 9.0
    assert min(losses) < 0.1
