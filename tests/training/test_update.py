"""One optimizer update, and the same from parts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.training.update import Update


def update(clip: float, scaler: torch.amp.GradScaler | None = None) -> Update:
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    scaler = scaler or torch.amp.GradScaler("cpu", enabled=False)
    return Update(module, torch.optim.SGD(module.parameters(), lr=9.0), scaler, clip)


def loss(update: Update, rows: Tensor) -> Tensor:
    value: Tensor = F.linear(rows, *update.parameters).square().mean()
    return value


def test_the_rate_and_the_clip_are_those_asked_for() -> None:
    """Plain gradient descent moves the weights by rate times the clipped gradient, whose norm is the clip."""
    made = update(clip=0.25)
    before = torch.cat([p.detach().flatten() for p in made.parameters])
    norm = made.step(loss(made, torch.ones(4, 3)), rate=0.5)
    after = torch.cat([p.detach().flatten() for p in made.parameters])
    assert float(norm) > 0.25
    assert float((after - before).norm()) == pytest.approx(0.5 * 0.25, rel=1e-4)


def test_parts_make_the_update_of_the_whole() -> None:
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    whole, parted = update(clip=1e9), update(clip=1e9)
    norm = whole.step(loss(whole, rows), 0.1)
    for part in rows.split(2):
        parted.add(loss(parted, part) / 2)
    torch.testing.assert_close(parted.apply(0.1), norm)
    for first, second in zip(whole.parameters, parted.parameters, strict=True):
        torch.testing.assert_close(first, second)


def test_gradients_do_not_outlive_the_update() -> None:
    made = update(clip=1.0)
    made.step(loss(made, torch.ones(1, 3)), 0.1)
    assert all(parameter.grad is None for parameter in made.parameters)


def test_an_overflow_is_reported_as_zero_and_skips_the_update() -> None:
    made = update(clip=1.0, scaler=torch.amp.GradScaler("cpu", init_scale=2.0**127))
    before = [parameter.detach().clone() for parameter in made.parameters]
    assert float(made.step(1e4 * loss(made, torch.ones(4, 3)), 0.1)) == 0
    assert all(torch.equal(a, b) for a, b in zip(before, made.parameters, strict=True))
