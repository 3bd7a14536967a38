"""The sampler for ``torch.compile``: fixed shapes and places, so that a GPU replays one graph a token.

At few rows a GPU waits for the host to launch hundreds of small kernels. Compiled, they are few, and on an NVIDIA GPU
one CUDA graph launches all of a token's (torch's mode "reduce-overhead"): embedding, blocks, guidance, head and draw.
For that nothing may change its place or size. Keys and values have room for all positions from the start; attention
reaches over a quarter, half, three quarters or all of them, and masks those that are not there yet. What was drawn
stays in the graph's own memory, so that the host only says "again". The arithmetic is that of ``Decoder`` but for
rounding.

Letters as in ``decoder``: R rows, B samples (with guidance R / 2), D width, H heads, d width of a head, N positions,
V codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import GigatokError
from gigatok.models.ar import NORM_EPS, ArModel, Block
from gigatok.runtime.device import Precision, keep_graphs
from gigatok.sampling.filters import choose, number_type
from gigatok.sampling.guidance import guided
from gigatok.sampling.spec import SampleSpec

REACHES = 4
"""Lengths that attention has, evenly spaced; each is a graph of its own."""
FP32_IMAGES = 32
"""Images at a time up to which sampling in fp32 is compiled. GPT-B with guidance on an H100: one image takes 0.16 s
instead of 1.4; in bf16 0.12 instead of 2.1, 32 images 0.17 instead of 1.4, 256 images 0.55 instead of 2.5. In fp32 many
images were measured with an earlier one alone, whose attention was torch's kernel: on an H200 it took 0.62 s instead of
0.84 for 32 images, and 3.4 instead of 1.9 for 256."""


def compiled_where_faster(ar: ArModel, precision: Precision, images: int) -> CompiledDecoders | None:
    """Compiled decoders to sample so many images at a time, or ``None`` where that may be slower."""
    return CompiledDecoders(ar) if precision != "fp32" or images <= FP32_IMAGES else None


class CompiledDecoders:
    """Makes compiled decoders for one model, one for each number of rows. Compiling takes up to minutes (GPT-B for an
    H100: 43 s)."""

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
    """Draws whole sequences as ``Sampler`` does with a ``Decoder``, a compiled graph a token."""

    def __init__(
        self, ar: ArModel, rows: int, head_rows: int, positions: int, backend: str | Callable[..., Any]
    ) -> None:
        """``rows`` go through the blocks, ``head_rows`` through the head, ``positions`` one after another."""
        self.rows = rows
        self.dtype = ar.compute_dtype()
        self._state = _Token(ar, rows, head_rows, positions, self.dtype)
        mode = "reduce-overhead" if backend == "inductor" and self._state.inputs.is_cuda else None
        keep_graphs()  # a graph that must be whole is an error after the eighth
        self._draw = torch.compile(self._state, fullgraph=True, dynamic=False, backend=backend, mode=mode)

    @torch.no_grad()
    def sample(self, inputs: Tensor, uniforms: Tensor | None, scales: Sequence[float], spec: SampleSpec) -> Tensor:
        """Sequences from their first to their last position.

        Args:
            inputs: (R,) int64, classes; with guidance those of the samples and then as many null classes.
            uniforms: (B, N) float64 in [0, 1), or ``None`` when greedy.
            scales: guidance at each position; without guidance unused.
            spec: temperature and filters.

        Returns:
            (B, N) int64 indices.

        Raises:
            GigatokError: not as many scales as positions.
            torch._dynamo.exc.BackendCompilerFailed: this machine cannot compile.
        """
        positions = self._state.indices.shape[1]
        if len(scales) != positions:
            raise GigatokError(f"{len(scales)} positions asked of a decoder compiled for {positions}: make another")
        self._state.begin(inputs, uniforms, scales)
        for place in range(positions):
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
            self._draw(reach(place, positions), spec.top_k, spec.top_p, spec.temperature, uniforms is None)
        return self._state.indices.clone()


def reach(place: int, positions: int) -> int:
    """Positions that attention at ``place`` covers, of ``positions``: a multiple of their ``REACHES``-th part."""
    part = -(-positions // REACHES)
    return min(positions, (place // part + 1) * part)


class _StepBlock(nn.Module):
    """One block on the newest position, with its keys and values."""

    attention_gain: Tensor
    qkv: Tensor
    out: Tensor
    ffn_gain: Tensor
    gate_up: Tensor
    down: Tensor
    memory: Tensor
    """(2, R, H, N, d): keys, values."""

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
        """x (R, D) float32, the newest position at ``place`` (1,), ``seen`` (n,) bool -> (R, D) float32."""
        _, rows, heads, _, width = self.memory.shape
        qkv = F.linear(_normalized(x, self.attention_gain).to(self.qkv.dtype), self.qkv)
        query, *new = qkv.view(rows, 3, heads, 1, width).unbind(1)
        self.memory.index_copy_(3, place, torch.stack(new))
        keys, values = self.memory[:, :, :, : len(seen)].unbind(0)
        # One query a head: sums, for which keys and values are read once, instead of products of one row.
        scores = (keys.float() * query.float()).sum(-1) * width**-0.5  # (R, H, n)
        shares = torch.softmax(scores.masked_fill(~seen, -torch.inf), dim=-1)
        attended = (values.float() * shares.unsqueeze(-1)).sum(-2).to(self.out.dtype)  # (R, H, d)
        x = x + F.linear(attended.reshape(rows, -1), self.out)
        gate, up = F.linear(_normalized(x, self.ffn_gain).to(self.qkv.dtype), self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)


class Step(nn.Module):
    """Embedding, all blocks and the last norm, at one position after another."""

    gain: Tensor
    table: Tensor
    """(classes + 1 + V, D): of classes, then of codes."""
    positional: Tensor

    def __init__(self, ar: ArModel, rows: int, positions: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_StepBlock(cast(Block, block), rows, positions, dtype) for block in ar.blocks)
        self.register_buffer("gain", ar.norm.weight.detach().float())
        tables = (ar.class_embedding.weight.detach(), ar.token_embedding.weight.detach())
        self.codes_from = len(tables[0])
        self.register_buffer("table", torch.cat(tables).float())
        self.register_buffer("positional", ar.positional_embedding.detach().float())

    def forward(self, inputs: Tensor, place: Tensor, reached: int) -> Tensor:
        """Rows of ``table`` (R,) int64 at ``place`` (1,) int64, of the first ``reached`` -> (R, D) float32."""
        x = F.embedding(inputs, self.table) + F.embedding(place, self.positional)
        seen = torch.arange(reached, device=place.device) <= place
        for block in self.blocks:
            x = block(x, place, seen)
        return _normalized(x, self.gain)


class _Token(nn.Module):
    """A token of each sample, and all that the next one needs, in memory of its own."""

    head: Tensor
    inputs: Tensor
    """(R,) int64: rows of the table that come next."""
    place: Tensor
    """(1,) int64: the next position."""
    uniforms: Tensor
    """(N, B) float64."""
    scales: Tensor
    """(N,) float32."""
    indices: Tensor
    """(B, N) int64."""

    def __init__(self, ar: ArModel, rows: int, head_rows: int, positions: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.step = Step(ar, rows, positions, dtype)
        self.guided = rows != head_rows
        device = ar.head.weight.device
        self.register_buffer("head", ar.head.weight.detach().to(dtype))
        self.register_buffer("inputs", torch.zeros(rows, dtype=torch.int64, device=device))
        self.register_buffer("place", torch.zeros(1, dtype=torch.int64, device=device))
        self.register_buffer("uniforms", torch.zeros(positions, head_rows, dtype=number_type(device), device=device))
        self.register_buffer("scales", torch.ones(positions, device=device))
        self.register_buffer("indices", torch.zeros(head_rows, positions, dtype=torch.int64, device=device))

    def begin(self, inputs: Tensor, uniforms: Tensor | None, scales: Sequence[float]) -> None:
        """Go to the first position; arguments as of ``CompiledDecoder.sample``."""
        self.inputs.copy_(inputs)
        self.place.zero_()
        self.scales.copy_(torch.tensor(scales))
        if uniforms is not None:
            self.uniforms.copy_(uniforms.t())

    def forward(self, reached: int, top_k: int, top_p: float, temperature: float, greedy: bool) -> None:
        """Draw, write down and go to the next position."""
        normalized = self.step(self.inputs, self.place, reached)
        if self.guided:
            normalized = guided(normalized, self.scales.index_select(0, self.place))
        logits = F.linear(normalized.to(self.head.dtype), self.head).float()
        uniform = None if greedy else self.uniforms.index_select(0, self.place).squeeze(0)
        drawn = choose(logits, uniform, temperature, top_k, top_p)
        self.indices.index_copy_(1, self.place, drawn.unsqueeze(1))
        following = drawn + self.step.codes_from
        self.inputs.copy_(following.repeat(2) if self.guided else following)
        self.place.add_(1)


def _normalized(x: Tensor, gain: Tensor) -> Tensor:
    """The root-mean-square norm in float32."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + NORM_EPS) * gain
