"""Numbers that are kept of a training are computed in full precision, whatever its steps may round to."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from gigatok.models.ar import ArModel
from gigatok.models.tokenizer import Tokenizer
from gigatok.runtime.device import allow_tf32


@pytest.mark.parametrize("model", [Tokenizer, ArModel])
def test_validation_does_without_tf32_and_training_may_have_it(
    model: type[nn.Module], project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, set[bool]] = {True: set(), False: set()}
    decode = "decode" if model is Tokenizer else "forward"
    real, step = getattr(model, decode), model.forward

    def look(self: nn.Module, *arguments: Any, **options: Any) -> Any:
        if not self.training:
            seen[False].add(torch.backends.cuda.matmul.allow_tf32)
        return real(self, *arguments, **options)

    def train(self: nn.Module, *arguments: Any, **options: Any) -> Any:
        seen[self.training].add(torch.backends.cuda.matmul.allow_tf32)
        return step(self, *arguments, **options)

    monkeypatch.setattr(model, decode, look)
    monkeypatch.setattr(model, "forward", train)
    try:
        project.tokenizer(launch={"tf32": True})
        project.generator(launch={"tf32": True})
    finally:
        allow_tf32(False)
    assert seen == {True: {True}, False: {False}}
