"""How MLflow loads and calls a model of ours. Nothing is unpickled: weights are safetensors, the code is this package.

A tokenizer takes images and gives reconstructions; a generator takes classes and gives images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gigatok.config import ConfigError, GigatokError
from gigatok.tracking.mlflow.models import DEFAULTS, GENERATOR, TOKENIZER

if TYPE_CHECKING:
    from gigatok.models import ArModel, Tokenizer


class TokenizerFunction:
    """``predict`` of a tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer

    def predict(self, images: npt.NDArray[np.uint8], params: Mapping[str, Any] | None = None) -> npt.NDArray[Any]:
        """(n, S, S, 3) uint8 -> reconstructions of the same shape or, with ``output: indices``, (n, N) int64 tokens.

        Raises:
            GigatokError: images of another shape, or an unknown ``output``.
        """
        import torch

        from gigatok.data import to_float
        from gigatok.evaluation.decode import reconstruct

        side = self.tokenizer.config.image_size
        if images.ndim != 4 or images.shape[1:] != (side, side, 3):
            raise GigatokError(f"images {images.shape} are not (n, {side}, {side}, 3): resize them")
        given = {**DEFAULTS[TOKENIZER], **(params or {})}
        pixels = images.astype(np.uint8)
        if given["output"] == "images":
            return reconstruct(self.tokenizer, pixels, int(given["batch_size"]))
        if given["output"] != "indices":
            raise ConfigError(f"output {given['output']!r} is not one of images, indices")
        with torch.inference_mode():
            parts = torch.split(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()), int(given["batch_size"]))
            return torch.cat([self.tokenizer.encode(to_float(part)) for part in parts]).numpy()


class GeneratorFunction:
    """``predict`` of a generator with its tokenizer."""

    def __init__(self, ar: ArModel, tokenizer: Tokenizer) -> None:
        self.ar, self.tokenizer = ar, tokenizer

    def predict(self, classes: npt.NDArray[np.int64], params: Mapping[str, Any] | None = None) -> npt.NDArray[np.uint8]:
        """(n,) class numbers -> (n, S, S, 3) uint8 images. Equal classes, seed and scale give equal images.

        Raises:
            GigatokError: a class that the model does not know.
        """
        import torch

        from gigatok.evaluation.decode import decode
        from gigatok.sampling import generate

        given = {**DEFAULTS[GENERATOR], **(params or {})}
        labels = torch.as_tensor(np.asarray(classes).reshape(-1)).long()
        known = self.ar.config.num_classes
        if len(labels) and not (int(labels.min()) >= 0 and int(labels.max()) < known):
            raise GigatokError(f"classes {sorted(set(labels.tolist()))[:8]} are not all in 0..{known - 1}")
        random = torch.Generator().manual_seed(int(given["seed"]))
        size = int(given["batch_size"])
        parts = [
            generate(self.ar, part, cfg_scale=float(given["cfg_scale"]), generator=random)
            for part in torch.split(labels, size)
        ]
        return decode(self.tokenizer, torch.cat(parts), size)


def _load_pyfunc(path: str) -> TokenizerFunction | GeneratorFunction:
    """What MLflow calls with the stored folder."""
    from gigatok.interop.native import load_ar_dir, load_tokenizer_dir

    folder = Path(path)
    tokenizer = load_tokenizer_dir(folder / TOKENIZER)
    if (folder / GENERATOR).is_dir():
        return GeneratorFunction(load_ar_dir(folder / GENERATOR), tokenizer)
    return TokenizerFunction(tokenizer)
