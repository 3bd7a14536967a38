"""Sampling from GPT-B with guidance: python benchmarks/sampling.py [--cases tokens-32-batch-1-fp32 ...]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from measuring import Case, main
from plain.sampler import sample
from torch import Tensor

from gigatok.models import build_ar
from gigatok.models.ar import ArModel
from gigatok.sampling.generate import Sampler
from gigatok.sampling.spec import SampleSpec

CFG_SCALE = 2.0
WHOLE = 256
"""Tokens of a whole sequence."""
SHORT = 32
"""Tokens of the cases that tell how time grows with the batch: 32 whole sequences cost minutes."""
BATCHES = (1, 8, 32)
LENGTHS = (64, WHOLE)
"""Tokens of the cases that tell how time grows with them, one image each."""


def case(batch: int, dtype: torch.dtype, tokens: int, growth: str, size: float) -> Case:
    """One batch, the weights random: they cost what trained ones do."""
    torch.manual_seed(0)
    ar: ArModel = build_ar("GPT-B", num_tokens=tokens).eval()
    torch.nn.init.normal_(ar.head.weight, std=0.02)  # a new model's head is zero, and every draw would be the same
    ar = ar.to(dtype)
    classes = torch.arange(batch)
    uniforms = torch.rand(batch, tokens, dtype=torch.float64)
    blocks = sum(p.numel() for p in ar.blocks.parameters())
    head = ar.head.weight.numel()

    def agree(ours: Tensor, plain: Tensor) -> bool:
        # Half precision rounds differently, and one other token changes all that follow.
        return ours.shape == plain.shape and (dtype != torch.float32 or torch.equal(ours, plain))

    return Case(
        ours=lambda: Sampler(ar, SampleSpec.of(cfg_scale=CFG_SCALE), tokens)(classes, uniforms),
        plain=lambda: sample(ar, classes, uniforms, CFG_SCALE),
        agree=agree,
        flops=2.0 * batch * tokens * (2 * blocks + head),
        read=(blocks + head) * tokens * ar.head.weight.element_size(),
        dtype=dtype,
        growth={growth: size},
    )


def _cases() -> dict[str, Callable[[], Case]]:
    found: dict[str, Callable[[], Case]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for tokens in LENGTHS:
            found[f"tokens-{tokens}-batch-1-{name}"] = partial(case, 1, dtype, tokens, f"tokens, {name}", tokens)
        for batch in BATCHES:
            found[f"tokens-{SHORT}-batch-{batch}-{name}"] = partial(case, batch, dtype, SHORT, f"batch, {name}", batch)
    return found


CASES = _cases()

if __name__ == "__main__":
    main("AR sampling, GPT-B, guidance", CASES)
