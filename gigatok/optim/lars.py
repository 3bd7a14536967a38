"""LARS (You et al. 2017, arXiv:1708.03888) as linear probes use it (He et al. 2022, MAE; SPEC section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor


class Lars(torch.optim.Optimizer):
    """Momentum SGD whose update of each matrix is scaled by trust * |parameter| / |gradient|.

    Parameters with fewer than two dimensions (biases, gains) are neither scaled nor decayed.

    Args:
        params: parameters or parameter groups.
        lr: learning rate.
        momentum: share of the last update kept.
        trust_coefficient: relative size of an update at learning rate 1.
        weight_decay: added to the gradient of matrices as ``weight_decay * parameter``.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "trust_coefficient": trust_coefficient,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One update of every parameter with a gradient; returns the loss that ``closure`` recomputes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        if parameter.ndim > 1:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
            parameter_norm, gradient_norm = parameter.norm(), gradient.norm()
            ratio = group["trust_coefficient"] * parameter_norm / gradient_norm
            # A matrix of zeros, or one without a gradient, has no direction to be scaled by.
            gradient = gradient * torch.where((parameter_norm > 0) & (gradient_norm > 0), ratio, 1.0)
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].mul_(group["momentum"]).add_(gradient)
        parameter.add_(state["momentum"], alpha=-group["lr"])
