"""A small AR model whose predictions depend on class and history."""

from __future__ import annotations

import pytest
import torch

from gigatok.config import ArConfig
from gigatok.models.ar import ArModel


@pytest.fixture
def ar() -> ArModel:
    torch.manual_seed(0)
    model = ArModel(
        ArConfig(width=32, depth=2, heads=2, ffn_multiple_of=16, codebook_size=40, num_tokens=12, num_classes=6)
    )
    for module in model.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
            torch.nn.init.normal_(module.weight, std=0.4)
    return model
