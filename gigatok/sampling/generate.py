"""Sampling with a key-value cache and classifier-free guidance (SPEC section 5).

Letters: B samples, N tokens, D width, V codes. With guidance the model runs on 2B rows, the first B with the
class and the last B with the null class, both fed the same tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from gigatok.config import GigatokError
from gigatok.models.ar import ArModel
from gigatok.runtime.device import autocast
from gigatok.sampling.compiled import CompiledDecoder
from gigatok.sampling.decoder import Decoder
from gigatok.sampling.filters import choose, number_type
from gigatok.sampling.guidance import guidance_scale, guided
from gigatok.sampling.spec import GuidanceSchedule, SampleSpec

Decoders = Callable[[int, int, int], Decoder | CompiledDecoder]
"""Makes a decoder for rows of the blocks, rows of the head, and positions."""


def generate(
    ar: ArModel,
    classes: Tensor,
    num_tokens: int | None = None,
    cfg_scale: float = 1.0,
    cfg_schedule: GuidanceSchedule = "constant",
    cfg_start: float = 0.0,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    greedy: bool = False,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    cfg_end: float = 1.0,
    precision: Literal["fp32", "bf16"] = "fp32",
) -> Tensor:
    """Draw token sequences for classes.

    Args:
        ar: the model; run in eval mode whatever its mode, which it gets back.
        classes: (B,) int64 in 0..num_classes (the null class draws without a condition).
        num_tokens: N; ``None``: as many as the model was made for. Guidance schedules run over these N.
        cfg_scale, cfg_schedule, cfg_start, cfg_end, temperature, top_k, top_p, greedy, precision: see ``SampleSpec``.
        generator: one for all samples; or one a sample, which then does not depend on the others of its
            batch; ``None``: torch's global one. Each token of a sample consumes one uniform number. Unused
            when greedy.

    Returns:
        (B, N) int64 indices.

    Raises:
        GigatokError: a setting is out of range, or there are not as many generators as classes.
    """
    spec = SampleSpec.of(
        cfg_scale=cfg_scale,
        cfg_schedule=cfg_schedule,
        cfg_start=cfg_start,
        cfg_end=cfg_end,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        greedy=greedy,
        precision=precision,
    )
    tokens = ar.config.num_tokens if num_tokens is None else num_tokens
    uniforms = None if greedy else _uniforms(classes.shape[0], tokens, generator)
    return Sampler(ar, spec, tokens)(classes, uniforms)


class Sampler:
    """Draws batch after batch with the same settings.

    It keeps the model's weights in the form that ``Decoder`` wants: make a new one after the model has changed.
    """

    def __init__(self, ar: ArModel, spec: SampleSpec, num_tokens: int, decoders: Decoders | None = None) -> None:
        """``decoders``: ``CompiledDecoders`` of ``ar``, to share what they have compiled."""
        if not 1 <= num_tokens <= ar.config.num_tokens:
            raise GigatokError(f"num_tokens {num_tokens} is not in 1..{ar.config.num_tokens}: the model's num_tokens")
        self.ar = ar
        self.spec = spec
        self.num_tokens = num_tokens
        self.guided = spec.cfg_scale > 1
        self.scales = [guidance_scale(spec, token, num_tokens) for token in range(num_tokens)]
        self._decoders = partial(Decoder, ar) if decoders is None else decoders
        self._decoder: Decoder | CompiledDecoder | None = None

    @torch.no_grad()  # not inference mode: its tensors could not be decoded with gradients on
    def __call__(self, classes: Tensor, uniforms: Tensor | None) -> Tensor:
        """(B,) classes, (B, N) float64 numbers in [0, 1), None when greedy -> (B, N) int64 indices."""
        device = self.ar.head.weight.device
        inputs = self._first_inputs(classes.to(device))
        uniforms = None if uniforms is None else uniforms.to(number_type(device)).to(device)
        indices = torch.empty(classes.shape[0], self.num_tokens, dtype=torch.int64, device=device)
        if not len(classes):
            return indices
        with self._arithmetic(device):
            decoder = self._ready(inputs.shape[0])
            if isinstance(decoder, CompiledDecoder):
                return decoder.sample(inputs, uniforms, self.scales, self.spec)
            decoder.restart()
            for token in range(self.num_tokens):
                normalized = decoder.advance(inputs)
                # The head is linear, so mixing before it halves its work.
                logits = decoder.logits(guided(normalized, self.scales[token]) if self.guided else normalized)
                uniform = None if uniforms is None else uniforms[:, token]
                drawn = choose(logits, uniform, self.spec.temperature, self.spec.top_k, self.spec.top_p)
                indices[:, token] = drawn
                inputs = drawn.repeat(2) if self.guided else drawn
        return indices

    def _arithmetic(self, device: torch.device) -> AbstractContextManager[Any]:
        """In fp32 the caller's own autocast counts, if there is one."""
        return nullcontext() if self.spec.precision == "fp32" else autocast(device, self.spec.precision)

    def _first_inputs(self, classes: Tensor) -> Tensor:
        """(B,) classes -> (B,), or with guidance (2B,): classes, then as many null classes."""
        null = self.ar.null_class
        if classes.numel() and not 0 <= int(classes.min()) <= int(classes.max()) <= null:
            raise GigatokError(
                f"classes reach from {int(classes.min())} to {int(classes.max())}: allowed are 0..{null}"
            )
        return torch.cat((classes, torch.full_like(classes, null))) if self.guided else classes

    def _ready(self, rows: int) -> Decoder | CompiledDecoder:
        """The last decoder again if it has as many rows."""
        if self._decoder is None or self._decoder.rows != rows:
            self._decoder = None  # the old one's memory first
            self._decoder = self._decoders(rows, rows // 2 if self.guided else rows, self.num_tokens)
        return self._decoder


def _uniforms(batch: int, tokens: int, generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    """(B, N) float64 in [0, 1), one number a token, a row from each generator when there is one a sample."""
    if generator is None or isinstance(generator, torch.Generator):
        device = "cpu" if generator is None else generator.device
        return torch.rand(batch, tokens, generator=generator, device=device, dtype=torch.float64)
    if len(generator) != batch:
        raise GigatokError(f"{len(generator)} generators for {batch} classes: pass one a sample, or a single one")
    return torch.stack([torch.rand(tokens, generator=own, device=own.device, dtype=torch.float64) for own in generator])
