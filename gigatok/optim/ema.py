"""Exponential moving average of a module's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gigatok.config import GigatokError


class Ema:
    """average = decay * average + (1 - decay) * parameter after each update; buffers are not averaged.

    Starts as a copy of the parameters, which must stay the module's own: they are listed once, because a walk through
    its parts at each step costs as much as the averaging. The paper's recipe has none; its code offers decay 0.9999
    (SPEC section 7).
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0 <= decay < 1:
            raise GigatokError(f"ema_decay {decay} is not in [0, 1): 0 follows the parameters, 0.9999 is usual")
        self.decay = decay
        self.averages = {name: p.detach().clone() for name, p in module.named_parameters()}
        self._parameters = [*module.parameters()]
        self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the module's parameters."""
        self._average([*self.averages.values()], self._parameters, 0)  # all in one call; no count of updates matters

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Overwrite the parameters of ``module`` with the averages."""
        for name, parameter in module.named_parameters():
            parameter.copy_(self.averages[name])

    @contextmanager
    def applied_to(self, module: nn.Module) -> Iterator[nn.Module]:
        """``module`` with averaged parameters inside the block, with its own again afterwards."""
        own = {name: p.detach().clone() for name, p in module.named_parameters()}
        self.copy_to(module)
        try:
            yield module
        finally:
            with torch.no_grad():
                for name, parameter in module.named_parameters():
                    parameter.copy_(own[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Averages under the parameters' names."""
        return dict(self.averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over averages saved by ``state_dict``; their names must be the module's parameters."""
        if state.keys() != self.averages.keys():
            differing = sorted(state.keys() ^ self.averages.keys())
            raise GigatokError(f"EMA state and module differ in {len(differing)} names, first {differing[0]!r}")
        for name, average in self.averages.items():
            average.copy_(state[name])
