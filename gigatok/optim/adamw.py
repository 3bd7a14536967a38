"""AdamW over parameter groups, as both recipes use it (SPEC section 7)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from gigatok.config.sections import OptimizerSection


def parameter_groups(module: nn.Module, section: OptimizerSection) -> list[dict[str, Any]]:
    """Trainable parameters in groups with and without weight decay.

    ``decay_all_parameters`` true (tokenizer): one group, all decay. False (AR model): tensors with at least
    two dimensions decay; gains and biases do not. A group without parameters is left out.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    decayed = [p for p in parameters if section.decay_all_parameters or p.ndim >= 2]
    rest = [p for p in parameters if not (section.decay_all_parameters or p.ndim >= 2)]
    groups = [
        {"params": decayed, "weight_decay": section.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_adamw(module: nn.Module, section: OptimizerSection) -> torch.optim.AdamW:
    """AdamW over ``parameter_groups(module, section)``, starting at the base rate; the caller sets ``lr``
    each step.

    The fused update does the same arithmetic in one pass over memory: many small tensors cost no time on CPU.
    """
    return torch.optim.AdamW(
        parameter_groups(module, section),
        lr=section.learning_rate,
        betas=section.betas,
        fused=True,
    )
