"""Sampling from GPT-B with guidance: python benchmarks/sampling.py [--cases tokens-32-batch-1-fp32 ...]."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from measuring import Case, main
from plain.sampler import intervals, sample
from torch import Tensor

from gigatok.models import build_ar
from gigatok.models.ar import ArModel
from gigatok.sampling.decoder import Decoder
from gigatok.sampling.generate import Sampler
from gigatok.sampling.spec import SampleSpec

CFG_SCALE = 2.0
HEAD_STD = 0.1
"""Of the head's weights. A new model's head is zero; with this, few codes are likely, as after training."""
WHOLE = 256
"""Tokens of a whole sequence."""
SHORT = 32
"""Tokens of the cases that tell how time grows with the batch: 32 whole sequences cost minutes."""
BATCHES = (1, 8, 32)
LENGTHS = (64, WHOLE)
"""Tokens of further cases of one image, which tell how time grows with them."""
NEAR = {torch.float32: 1e-5, torch.bfloat16: 0.02}
"""Probability by which a draw may miss its number on average, for rounding."""


def case(batch: int, dtype: torch.dtype, tokens: int) -> Case:
    """One batch, the weights random: they cost what trained ones do."""
    torch.manual_seed(0)
    ar: ArModel = build_ar("GPT-B", num_tokens=tokens).eval()
    torch.nn.init.normal_(ar.head.weight, std=HEAD_STD)
    ar = ar.to(dtype)
    classes = torch.arange(batch)
    uniforms = torch.rand(batch, tokens, dtype=torch.float64)
    blocks = sum(p.numel() for p in ar.blocks.parameters())
    head = ar.head.weight.numel()
    decoders: list[Decoder] = []
    sampler = Sampler(ar, SampleSpec.of(cfg_scale=CFG_SCALE), tokens, lambda *_: decoders[0])

    def agree(ours: Tensor, _: Tensor) -> bool:
        return missed(ar, classes, uniforms[:, :SHORT], ours[:, :SHORT]) < NEAR[dtype]

    kind = "fp32" if dtype == torch.float32 else "bf16"
    growth: dict[str, float] = {f"batch, {kind}": batch} if tokens == SHORT else {}
    return Case(
        ours=lambda: sampler(classes, uniforms),
        plain=lambda: sample(ar, classes, uniforms, CFG_SCALE),
        agree=agree,
        flops=2.0 * batch * tokens * (2 * blocks + head),
        read=(blocks + head) * tokens * ar.head.weight.element_size(),
        dtype=dtype,
        growth=growth | ({f"tokens, {kind}": tokens} if batch == 1 else {}),
        once=lambda: decoders.append(Decoder(ar, 2 * batch, batch, tokens)),
        keeps=True,
    )


def missed(ar: ArModel, classes: Tensor, uniforms: Tensor, indices: Tensor) -> float:
    """How far on average (B, N) numbers in [0, 1) lie outside the probabilities of the (B, N) codes drawn for them.

    The two round differently here and there, and one other token changes all that follow. So the textbook's
    model is fed the tokens that were drawn, and says from where to where each of them reaches.
    """
    least, most = intervals(ar, classes, indices, CFG_SCALE)
    return torch.maximum(least - uniforms, uniforms - most).clamp(min=0).mean().item()


def _cases() -> dict[str, Callable[[], Case]]:
    found: dict[str, Callable[[], Case]] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        for batch in BATCHES:
            found[f"tokens-{SHORT}-batch-{batch}-{name}"] = partial(case, batch, dtype, SHORT)
        for tokens in LENGTHS:
            found[f"tokens-{tokens}-batch-1-{name}"] = partial(case, 1, dtype, tokens)
    return found


CASES = _cases()

if __name__ == "__main__":
    main("AR sampling, GPT-B, guidance", CASES)
