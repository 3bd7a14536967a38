"""The sampler's step for ``torch.compile``: fixed shapes, so that a GPU replays one graph a token.

At few rows a GPU waits for the host to launch hundreds of small kernels. Compiled, they are few, and on an NVIDIA GPU
one CUDA graph launches all of them (torch's mode "reduce-overhead"). For that nothing may change its place or size:
keys and values have room for all positions from the start, and attention masks those that are not there yet. The
arithmetic is that of ``Decoder`` but for rounding.

Letters as in ``decoder``: R rows, D width, H heads, d width of a head, C positions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import GigatokError
from gigatok.models.ar import NORM_EPS, ArModel, Block
from gigatok.models.products import Product
from gigatok.runtime.device import Precision

FP32_IMAGES = 32
"""Images at a time above which sampling in fp32 is not compiled: attention over all positions then costs more than
launching kernels one by one. On an H200, GPT-B with guidance, 32 images took 0.62 s instead of 0.84, and 256 took 3.4
instead of 1.9; in bf16 0.21 instead of 1.0, and 0.54 instead of 0.90."""


def compiled_where_faster(ar: ArModel, precision: Precision, images: int) -> CompiledDecoders | None:
    """Compiled decoders to sample so many images at a time, or ``None`` where the plain one was measured faster."""
    return CompiledDecoders(ar) if precision != "fp32" or images <= FP32_IMAGES else None


class CompiledDecoders:
    """Makes compiled decoders for one model, one for each number of rows: compiling takes up to minutes."""

    def __init__(self, ar: ArModel, backend: str | Callable[..., Any] = "inductor") -> None:
        """``backend``: of ``torch.compile``. Make a new one after the model has changed."""
        self._ar = ar
        self._backend = backend
        self._made: dict[tuple[int, int, int, torch.dtype], CompiledDecoder] = {}

    def __call__(self, rows: int, head_rows: int, positions: int) -> CompiledDecoder:
        """As ``Decoder`` is made."""
        key = (rows, head_rows, positions, self._ar.compute_dtype())
        if key not in self._made:
            self._made[key] = CompiledDecoder(self._ar, rows, head_rows, positions, self._backend)
        return self._made[key]


class CompiledDecoder:
    """Steps as ``Decoder`` does, through a compiled graph."""

    def __init__(
        self, ar: ArModel, rows: int, head_rows: int, positions: int, backend: str | Callable[..., Any]
    ) -> None:
        """``rows`` go through the blocks, ``head_rows`` through the head, ``positions`` at most one after another."""
        self.rows = rows
        self.positions = positions
        self.dtype = ar.compute_dtype()
        device = ar.head.weight.device
        # Its weights are buffers of a module: a graph takes them where they lie. Other tensors it would copy each step.
        mode = "reduce-overhead" if backend == "inductor" and device.type == "cuda" else None
        step = _Step(ar, rows, positions, self.dtype)
        self._step = torch.compile(step, fullgraph=True, dynamic=False, backend=backend, mode=mode)
        self._head = Product(ar.head.weight.detach().to(self.dtype), head_rows)
        self._tables = (ar.class_embedding.weight.detach(), ar.token_embedding.weight.detach())
        self._positional = ar.positional_embedding.detach()
        self._places = torch.arange(positions, device=device)
        self.length = 0

    def restart(self) -> None:
        """Forget what was seen."""
        self.length = 0

    @torch.no_grad()
    def advance(self, inputs: Tensor) -> Tensor:
        """(R,) int64, classes at first and then the tokens just drawn -> (R, D) float32 after the last norm.

        The next call overwrites what this one returned.

        Raises:
            GigatokError: all positions are taken.
            torch._dynamo.exc.BackendCompilerFailed: this machine cannot compile.
        """
        if self.length >= self.positions:
            raise GigatokError(f"the cache holds {self.positions} positions and is full: make a longer one")
        x = F.embedding(inputs, self._tables[self.length > 0]).float() + self._positional[self.length].float()
        place = self._places[self.length : self.length + 1].clone()  # a view would be another input for each position
        self.length += 1
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return cast(Tensor, self._step(x, place))

    @torch.no_grad()
    def logits(self, normalized: Tensor) -> Tensor:
        """(rows of the head, D) float32 -> (rows of the head, V) float32. Linear: mixing inputs mixes logits."""
        return self._head(normalized.to(self.dtype)).float()


class _StepBlock(nn.Module):
    """One block on the newest position, with its keys and values."""

    attention_gain: Tensor
    qkv: Tensor
    out: Tensor
    ffn_gain: Tensor
    gate_up: Tensor
    down: Tensor
    memory: Tensor
    """(2, R, H, C, d): keys, values."""

    def __init__(self, block: Block, rows: int, positions: int, dtype: torch.dtype) -> None:
        super().__init__()
        attention, ffn = block.attention, block.ffn
        width = attention.out.weight.shape[0]
        self.register_buffer("attention_gain", block.attention_norm.weight.detach().float())
        self.register_buffer("ffn_gain", block.ffn_norm.weight.detach().float())
        products = {
            "qkv": attention.qkv.weight.detach(),
            "out": attention.out.weight.detach(),
            "gate_up": torch.cat((ffn.gate.weight.detach(), ffn.up.weight.detach())),
            "down": ffn.down.weight.detach(),
        }
        for name, weight in products.items():
            self.register_buffer(name, weight.to(dtype))
        shape = (2, rows, attention.heads, positions, width // attention.heads)
        self.register_buffer("memory", torch.zeros(shape, device=self.out.device, dtype=dtype))

    def forward(self, x: Tensor, place: Tensor, seen: Tensor) -> Tensor:
        """x (R, D) float32, the newest position at ``place`` (1,), ``seen`` (C,) bool -> (R, D) float32."""
        _, rows, heads, _, width = self.memory.shape
        qkv = F.linear(_normalized(x, self.attention_gain).to(self.qkv.dtype), self.qkv)
        parts = qkv.view(rows, 3, heads, 1, width)
        self.memory.index_copy_(3, place, parts[:, 1:].transpose(0, 1))
        keys, values = self.memory.unbind(0)
        attended = F.scaled_dot_product_attention(parts[:, 0], keys, values, attn_mask=seen.view(1, 1, 1, -1))
        x = x + F.linear(attended.reshape(rows, -1), self.out)
        gate, up = F.linear(_normalized(x, self.ffn_gain).to(self.qkv.dtype), self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)


class _Step(nn.Module):
    """All blocks and the last norm."""

    gain: Tensor

    def __init__(self, ar: ArModel, rows: int, positions: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.positions = positions
        self.blocks = nn.ModuleList(_StepBlock(cast(Block, block), rows, positions, dtype) for block in ar.blocks)
        self.register_buffer("gain", ar.norm.weight.detach().float())

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        """(R, D) float32 at position ``place`` (1,) int64 -> (R, D) float32."""
        seen = torch.arange(self.positions, device=place.device) <= place
        for block in self.blocks:
            x = block(x, place, seen)
        return _normalized(x, self.gain)


def _normalized(x: Tensor, gain: Tensor) -> Tensor:
    """The root-mean-square norm in float32."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + NORM_EPS) * gain
