"""K-means over patches: the codec without a network that every trained tokenizer is compared with.

Same rate as a tokenizer: as many tokens an image, as many codes. Each token is a patch of the
image, each code a patch of pixels.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gigatok.config import ConfigError, GigatokError
from gigatok.evaluation.arrays import Images

_BLOCK = 8192
_PATCHES = 65_536
"""Distinct patches that a codebook is fitted on, at most ..."""
_PATCHES_A_CODE = 64
"""... or so many for each code: of four a code it would know them by heart."""


class PatchKMeans:
    """A vector quantizer of non-overlapping patches: ``fit``, ``encode``, ``decode``.

    Args:
        image_size: side of the square images in pixels
        num_tokens: patches an image; a power of two (halving rows and columns in turn) or a square, that divides the
            image
        codebook_size: codes

    Raises:
        ConfigError: the image does not divide into so many patches.
    """

    def __init__(self, *, image_size: int, num_tokens: int, codebook_size: int) -> None:
        self.image_size = image_size
        self.num_tokens = num_tokens
        self.codebook_size = codebook_size
        self.grid = _grid(image_size, num_tokens)
        self.codebook: Tensor | None = None
        """(codebook_size, patch pixels * 3) in 0..255, float32, after ``fit``."""
        self.fitted_on = 0
        """Distinct patches that ``fit`` took."""

    def describe(self) -> str:
        """``k-means: 16 tokens an image (4x4 patches), 64 codes of 2,345 distinct patches``."""
        rows, columns = self.grid
        return (
            f"k-means: {self.num_tokens} tokens an image ({rows}x{columns} patches), {self.codebook_size:,} codes of "
            f"{self.fitted_on:,} distinct patches"
        )

    def fit(
        self, images: Images, *, iterations: int = 10, seed: int = 0, max_patches: int | None = None
    ) -> PatchKMeans:
        """Lloyd's algorithm from distinct patches drawn with ``seed``; deterministic, seconds on one thread.

        Equal patches (white background, say) are merged into one with a weight, which changes no result and
        saves most of the time on drawings.

        Args:
            images: (n, S, S, 3) uint8
            max_patches: distinct patches beyond this many are thinned out at random, to bound time; ``None``: 65,536,
                and 64 for each code where that is more
        """
        most = max(_PATCHES, _PATCHES_A_CODE * self.codebook_size) if max_patches is None else max_patches
        if iterations < 1:
            raise ConfigError(f"kmeans_iterations {iterations} must be at least 1")
        generator = torch.Generator().manual_seed(seed)
        patches, counts = np.unique(self._patches(images).reshape(-1, self._patch_values), axis=0, return_counts=True)
        if len(patches) > most:  # before they take four times the memory as floats
            kept = torch.randperm(len(patches), generator=generator)[:most].numpy()
            patches, counts = patches[kept], counts[kept]
        self.fitted_on = len(patches)
        points, weights = torch.from_numpy(patches).float(), torch.from_numpy(counts).float()
        codebook = self._start(points, generator)
        for _ in range(iterations):
            codebook = _lloyd_step(points, weights, codebook)
        self.codebook = codebook
        return self

    def encode(self, images: Images) -> npt.NDArray[np.int64]:
        """(n, num_tokens) codes of (n, S, S, 3) uint8 images, patches row by row."""
        patches = self._patches(images)
        flat = torch.from_numpy(patches.reshape(-1, self._patch_values))
        nearest, _ = _nearest(flat, self._fitted())
        return np.asarray(nearest.numpy().reshape(len(images), self.num_tokens), dtype=np.int64)

    def decode(self, indices: npt.ArrayLike) -> Images:
        """(n, S, S, 3) uint8 images of (n, num_tokens) codes."""
        codes = np.asarray(indices, dtype=np.int64)
        rows, columns = self.grid
        height, width = self.image_size // rows, self.image_size // columns
        colours = self._fitted().round().clamp(0, 255).to(torch.uint8)
        pixels = colours[torch.from_numpy(codes.reshape(-1))]
        tiles = pixels.numpy().reshape(len(codes), rows, columns, height, width, 3)
        return np.ascontiguousarray(
            tiles.transpose(0, 1, 3, 2, 4, 5).reshape(len(codes), self.image_size, self.image_size, 3)
        )

    def reconstruct(self, images: Images) -> Images:
        """``decode(encode(images))``."""
        return self.decode(self.encode(images))

    @property
    def _patch_values(self) -> int:
        return self.image_size**2 // self.num_tokens * 3

    def _patches(self, images: Images) -> Images:
        """(n, num_tokens, patch values) of (n, S, S, 3)."""
        size = self.image_size
        if images.ndim != 4 or images.shape[1:] != (size, size, 3) or images.dtype != np.uint8:
            raise GigatokError(f"images {images.shape} {images.dtype}: expected uint8 (n, {size}, {size}, 3)")
        rows, columns = self.grid
        tiles = images.reshape(len(images), rows, size // rows, columns, size // columns, 3)
        return np.ascontiguousarray(
            tiles.transpose(0, 1, 3, 2, 4, 5).reshape(len(images), self.num_tokens, self._patch_values)
        )

    def _start(self, points: Tensor, generator: torch.Generator) -> Tensor:
        """Distinct patches at random; with fewer distinct patches than codes, the last codes repeat."""
        order = torch.randperm(len(points), generator=generator)
        return points[order[torch.arange(self.codebook_size) % len(points)]].clone()

    def _fitted(self) -> Tensor:
        if self.codebook is None:
            raise GigatokError("PatchKMeans has no codebook yet: call fit first")
        return self.codebook


def _grid(image_size: int, num_tokens: int) -> tuple[int, int]:
    """Rows and columns of patches."""
    if num_tokens < 1:
        raise ConfigError(f"num_tokens {num_tokens} must be at least 1")
    bits, side = round(math.log2(num_tokens)), math.isqrt(num_tokens)
    if 2**bits == num_tokens:
        rows, columns = 2 ** (bits // 2), 2 ** ((bits + 1) // 2)
    elif side**2 == num_tokens:
        rows = columns = side
    else:
        raise ConfigError(
            f"num_tokens {num_tokens} is neither a power of two nor a square: k-means cannot cut the image into them"
        )
    if image_size % columns:
        raise ConfigError(f"image_size {image_size} does not divide into {rows}x{columns} patches")
    return rows, columns


def _nearest(points: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Index (n,) of the nearest code, and the squared distance (n,) to it."""
    norms = codebook.square().sum(dim=1)
    indices, distances = [], []
    for block in torch.split(points, _BLOCK):
        values = block.float()
        # |x - c|^2 = |x|^2 + (|c|^2 - 2 x.c); |x|^2 does not change which code is nearest.
        distance, index = torch.addmm(norms, values, codebook.T, alpha=-2.0).min(dim=1)
        indices.append(index)
        distances.append((distance + values.square().sum(dim=1)).clamp_min(0))
    return torch.cat(indices), torch.cat(distances)


def _lloyd_step(points: Tensor, weights: Tensor, codebook: Tensor) -> Tensor:
    """Weighted means of the points nearest to each code; unused codes move to the worst-served points."""
    nearest, distances = _nearest(points, codebook)
    sums = torch.zeros_like(codebook).index_add_(0, nearest, points * weights[:, None])
    totals = torch.zeros(len(codebook)).index_add_(0, nearest, weights)
    moved = torch.where(totals[:, None] > 0, sums / totals.clamp_min(1e-12)[:, None], codebook)
    empty = torch.nonzero(totals == 0).flatten()[: len(points)]
    moved[empty] = points[(distances * weights).topk(len(empty)).indices]
    return moved
