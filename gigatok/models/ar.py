"""LlamaGen-1d: a causal transformer over an image's tokens, conditioned on a class (paper table 8, SPEC
section 4).

Letters in comments: B images, N tokens an image, D width, H heads, d width of a head, V codes, T positions of
a cache. Position 0 of the input is the class, position i > 0 is token i - 1, and the output at position i
predicts token i. There are no biases, no rotary positions and no query-key normalisation.
"""

from __future__ import annotations

from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gigatok.config import ArConfig, GigatokError
from gigatok.models.products import Linear

NORM_EPS = 1e-5
INIT_STD = 0.02


class RmsNorm(nn.Module):
    """x / rms(x) * weight, the division in fp32 whatever the type of ``x``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        if x.dtype == self.weight.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, NORM_EPS)
        return F.rms_norm(x.float(), self.weight.shape, None, NORM_EPS).type_as(x) * self.weight


class KvCache:
    """Keys and values of the positions seen so far, one buffer for all blocks, written in place.

    ``length`` is the number of positions filled. Allocated once and reused: ``reset`` only forgets the
    length.
    """

    def __init__(self, config: ArConfig, batch: int, positions: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (config.depth, 2, batch, config.heads, positions, config.width // config.heads)
        self.memory = torch.zeros(shape, device=device, dtype=dtype)
        self.length = 0

    @property
    def batch(self) -> int:
        """Rows of the batch it was made for."""
        return self.memory.shape[2]

    @property
    def positions(self) -> int:
        """Positions there is room for."""
        return self.memory.shape[4]

    def reset(self) -> None:
        """Forget what was seen; the memory stays."""
        self.length = 0

    def append(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write (B, H, n, d) after the positions filled; all keys and values so far, (B, H, length + n, d).

        ``length`` itself advances once all blocks have written (``ArModel.step``).
        """
        end = self.length + keys.shape[2]
        memory = self.memory[block]
        memory[0, :, :, self.length : end] = keys
        memory[1, :, :, self.length : end] = values
        return memory[0, :, :, :end], memory[1, :, :, :end]


class Attention(nn.Module):
    """Causal self-attention; q, k and v come from one product."""

    def __init__(self, config: ArConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.qkv = Linear(config.width, 3 * config.width, bias=False)
        self.out = Linear(config.width, config.width, bias=False)

    def forward(self, x: Tensor, cache: KvCache | None = None, block: int = 0) -> Tensor:
        """(B, n, D) -> (B, n, D). With a cache, n = 1 and x is the position after those in the cache."""
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)  # (B, H, n, d) each
        if cache is None:
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            k, v = cache.append(block, k, v)
            mixed = F.scaled_dot_product_attention(q.type_as(k), k, v).type_as(x)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return F.dropout(mixed, self.dropout, self.training)


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate x) * up x), ``ffn_width`` wide."""

    light: ClassVar[tuple[str, ...]] = ("leave",)

    def __init__(self, config: ArConfig) -> None:
        super().__init__()
        hidden = ffn_width(config.width, config.ffn_multiple_of)
        self.dropout = config.dropout
        self.gate = Linear(config.width, hidden, bias=False)
        self.up = Linear(config.width, hidden, bias=False)
        self.down = Linear(hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, D) -> (B, n, D)."""
        return F.dropout(self.leave(self.gate(x), self.up(x)), self.dropout, self.training)

    def leave(self, gate: Tensor, up: Tensor) -> Tensor:
        """(B, n, ``ffn_width``) each -> (B, n, D)."""
        return cast(Tensor, self.down(F.silu(gate) * up))


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to its input."""

    def __init__(self, config: ArConfig) -> None:
        super().__init__()
        self.attention_norm = RmsNorm(config.width)
        self.attention = Attention(config)
        self.ffn_norm = RmsNorm(config.width)
        self.ffn = FeedForward(config)

    def forward(self, x: Tensor, cache: KvCache | None = None, block: int = 0) -> Tensor:
        """(B, n, D) -> (B, n, D)."""
        x = x + self.attention(self.attention_norm(x), cache, block)
        return cast(Tensor, x + self.ffn(self.ffn_norm(x)))


class ArModel(nn.Module):
    """Autoregressive model of the indices of one tokenizer, given a class.

    Classes are 0..num_classes - 1; ``num_classes`` itself is the null class, which stands for "no class" in
    classifier-free guidance and replaces a share ``class_dropout`` of the classes in training mode.
    """

    def __init__(self, config: ArConfig) -> None:
        super().__init__()
        self.config = config
        self.class_embedding = nn.Embedding(config.num_classes + 1, config.width)
        self.token_embedding = nn.Embedding(config.codebook_size, config.width)
        # One row more than is ever fed (the last token is only predicted): the released files have it.
        self.positional_embedding = nn.Parameter(torch.empty(config.num_tokens + 1, config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = RmsNorm(config.width)
        self.head = Linear(config.width, config.codebook_size, bias=False)
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """Fresh weights from torch's global generator (SPEC section 4)."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                module.weight.normal_(0, INIT_STD)
            elif isinstance(module, RmsNorm):
                module.weight.fill_(1.0)
        self.head.weight.zero_()  # every code starts equally likely
        self.positional_embedding.normal_(0, self.config.width**-0.5)

    @property
    def null_class(self) -> int:
        """Class index that means "no class"."""
        return self.config.num_classes

    def forward(self, indices: Tensor, classes: Tensor, dropped: Tensor | None = None) -> Tensor:
        """Teacher-forced logits.

        Args:
            indices: (B, N) int64, N at most ``num_tokens``; the last one is predicted but not fed.
            classes: (B,) int64 in 0..num_classes.
            dropped: (B,) bool, classes replaced by the null class; ``None``: drawn here in training mode.

        Returns:
            (B, N, V) float32 logits; position i predicts ``indices[:, i]``.
        """
        x = self._embed(indices, classes, dropped)  # (B, N, D)
        for block in self.blocks:
            x = block(x)
        return self.logits(self.norm(x))

    def features(self, indices: Tensor, classes: Tensor, layer: int) -> Tensor:
        """(B, N, D) after the first ``layer`` blocks (1..depth), not normalised; position 0 is the class."""
        if not 1 <= layer <= self.config.depth:
            raise GigatokError(f"layer {layer} is not in 1..{self.config.depth}: the model has that many blocks")
        x = self._embed(indices, classes)
        for block in self.blocks[:layer]:
            x = block(x)
        return x

    def new_cache(self, batch: int, positions: int | None = None) -> KvCache:
        """An empty cache for ``batch`` rows and ``positions`` (default: ``num_tokens``) positions.

        It has the model's device, and the type in which the attention of this context computes.
        """
        device, dtype = self.head.weight.device, self.compute_dtype()
        return KvCache(self.config, batch, positions or self.config.num_tokens, device, dtype)

    def compute_dtype(self) -> torch.dtype:
        """The type in which products are computed here: that of autocast, else that of the weights."""
        weight = self.head.weight
        if torch.is_autocast_enabled(weight.device.type):
            return torch.get_autocast_dtype(weight.device.type)
        return weight.dtype

    def step(self, inputs: Tensor, cache: KvCache) -> Tensor:
        """Feed one position and get the logits of the token that follows it.

        Args:
            inputs: (B,) int64: classes when the cache is empty, else the token just drawn.
            cache: what came before; advanced by one position.

        Returns:
            (B, V) float32 logits.
        """
        return self.logits(self.advance(inputs, cache))

    def advance(self, inputs: Tensor, cache: KvCache) -> Tensor:
        """Like ``step``, but returns the (B, D) vectors from which ``logits`` makes the logits."""
        if cache.length >= cache.positions:
            raise GigatokError(f"the cache holds {cache.positions} positions and is full: make a longer one")
        table = self.token_embedding if cache.length else self.class_embedding
        x = (table(inputs) + self.positional_embedding[cache.length]).unsqueeze(1)  # (B, 1, D)
        for number, block in enumerate(self.blocks):
            x = block(x, cache, number)
        cache.length += 1
        return cast(Tensor, self.norm(x).squeeze(1))

    def logits(self, normalized: Tensor) -> Tensor:
        """(..., D) after the final norm -> (..., V) float32. Linear: mixing inputs mixes logits."""
        return cast(Tensor, self.head(normalized).float())

    def _embed(self, indices: Tensor, classes: Tensor, dropped: Tensor | None = None) -> Tensor:
        """(B, N) indices, (B,) classes -> (B, N, D): class and all tokens but the last, plus positions."""
        length = indices.shape[1]
        if not 1 <= length <= self.config.num_tokens:
            raise GigatokError(
                f"{length} tokens an image are not in 1..{self.config.num_tokens}: the model's num_tokens"
            )
        if dropped is None and self.training and self.config.class_dropout:
            dropped = torch.rand(classes.shape).to(classes.device) < self.config.class_dropout  # the CPU's numbers
        if dropped is not None:
            classes = classes.masked_fill(dropped, self.null_class)
        parts = (self.class_embedding(classes).unsqueeze(1), self.token_embedding(indices[:, :-1]))
        x = F.dropout(torch.cat(parts, dim=1), self.config.dropout, self.training)
        return x + self.positional_embedding[:length]


def ffn_width(width: int, multiple_of: int) -> int:
    """8/3 of ``width``, rounded down, then up to a multiple of ``multiple_of``."""
    return -(-(8 * width // 3) // multiple_of) * multiple_of
