"""Tests that need an NVIDIA GPU; on other machines all of them are skipped."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training" / "distributed"))

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no NVIDIA GPU, or torch is built without CUDA"))


@pytest.fixture
def cuda() -> torch.device:
    """With fp32 products rounded as fp32 is."""
    from gigatok.runtime.device import allow_tf32

    allow_tf32(False)
    return torch.device("cuda")
