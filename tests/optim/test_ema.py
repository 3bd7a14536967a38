"""Exponential moving average of parameters."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gigatok.config import GigatokError
from gigatok.optim import Ema


@pytest.fixture
def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def shift(module: nn.Module, by: float) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by)


def test_average_follows_its_closed_form(module: nn.Module) -> None:
    start = module[0].weight.detach().clone()
    ema = Ema(module, decay=0.9)
    shift(module, 1.0)
    for _ in range(5):
        ema.update()
    torch.testing.assert_close(ema.averages["0.weight"], start + (1 - 0.9**5))


def test_buffers_are_not_averaged(module: nn.Module) -> None:
    ema = Ema(module, decay=0.9)
    assert ema.state_dict().keys() == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_applied_only_inside_the_block_even_after_an_error(module: nn.Module) -> None:
    ema = Ema(module, decay=0.5)
    averaged = module[0].weight.detach().clone()
    shift(module, 1.0)
    own = module[0].weight.detach().clone()
    with ema.applied_to(module) as inner:
        assert torch.equal(inner[0].weight, averaged)
    assert torch.equal(module[0].weight, own)
    with pytest.raises(IndexError), ema.applied_to(module) as inner:
        inner[2]
    assert torch.equal(module[0].weight, own)


def test_averages_survive_save_and_load(module: nn.Module) -> None:
    ema = Ema(module, decay=0.5)
    shift(module, 1.0)
    ema.update()
    saved = {name: tensor.clone() for name, tensor in ema.state_dict().items()}
    other = Ema(module, decay=0.5)
    other.load_state_dict(saved)
    ema.update()
    other.update()
    assert all(torch.equal(other.averages[name], ema.averages[name]) for name in saved)
    assert not torch.equal(other.averages["0.weight"], saved["0.weight"])


def test_foreign_state_and_impossible_decay_are_refused(module: nn.Module) -> None:
    with pytest.raises(GigatokError, match=r"'0\.bias'"):
        Ema(module, decay=0.5).load_state_dict({"0.weight": torch.zeros(3, 2)})
    with pytest.raises(GigatokError, match=r"ema_decay 1\.0"):
        Ema(module, decay=1.0)
