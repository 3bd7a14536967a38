"""The pictures that scoring stages keep for the report and for MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gigatok.artifacts.arrays import Array, read_npz
from gigatok.artifacts.files import Digests, replacing
from gigatok.artifacts.outputs.digests import make_sound
from gigatok.config import GigatokError

Pictures = npt.NDArray[np.uint8]
"""(n, H, W, 3)"""
_GUIDED = "samples_cfg_"


class WorstPairs(NamedTuple):
    """The pairs with the lowest PSNR, lowest first."""

    originals: Pictures
    reconstructions: Pictures
    psnr: npt.NDArray[np.float64]
    """(k,) dB"""
    ids: npt.NDArray[np.int64]
    """(k,) rows of the source."""
    labels: npt.NDArray[np.int64]
    """(k,)"""

    def first(self, count: int) -> Self:
        """The worst ``count`` of them."""
        return type(self)(
            self.originals[:count],
            self.reconstructions[:count],
            self.psnr[:count],
            self.ids[:count],
            self.labels[:count],
        )


class TokenizerPictures(NamedTuple):
    """Content of a tokenizer's ``pictures.npz``: pairs spread over the validation images, the same for every run."""

    originals: Pictures
    reconstructions: Pictures
    labels: npt.NDArray[np.int64]
    """(n,)"""
    worst: WorstPairs | None
    """``None`` in files of earlier versions."""

    @classmethod
    def read(cls, path: Path, known: Digests | None = None, *, fix: str) -> Self:
        """From a file. Arguments and errors as ``read_pictures``."""
        found = read_pictures(path, ("originals", "reconstructions"), known, fix=fix)
        labels = found.get("labels", np.zeros(len(found["originals"]), np.int64))
        worst = {name: found.get(f"worst_{name}") for name in WorstPairs._fields}
        complete: dict[str, Any] = {name: values for name, values in worst.items() if values is not None}
        whole = len(complete) == len(worst)
        return cls(found["originals"], found["reconstructions"], labels, WorstPairs(**complete) if whole else None)

    def write(self, path: Path) -> None:
        """To a file, whole or not at all."""
        worst = {} if self.worst is None else {f"worst_{name}": each for name, each in self.worst._asdict().items()}
        _write(path, {name: self._asdict()[name] for name in ("originals", "reconstructions", "labels")} | worst)


class GeneratorSamples(NamedTuple):
    """Content of a generator's ``samples.npz``."""

    samples: Pictures
    """Without guidance."""
    classes: npt.NDArray[np.int64]
    """(n,)"""
    guided: dict[str, Pictures] = {}
    """The same classes with the best guidance above 1, by its scale as text; absent where none was tried."""

    @classmethod
    def read(cls, path: Path, known: Digests | None = None, *, fix: str) -> Self:
        """From a file. Arguments and errors as ``read_pictures``."""
        found = read_pictures(path, ("samples",), known, fix=fix)
        classes = found.get("classes")
        if classes is None or classes.shape != found["samples"].shape[:1]:
            raise GigatokError(f"{path} has not one class for each sample: {fix}")
        guided = {name.removeprefix(_GUIDED): values for name, values in found.items() if name.startswith(_GUIDED)}
        return cls(found["samples"], classes, guided)

    def write(self, path: Path) -> None:
        """To a file, whole or not at all."""
        guided = {f"{_GUIDED}{scale}": images for scale, images in self.guided.items()}
        _write(path, {"samples": self.samples, "classes": self.classes, **guided})


def read_pictures(path: Path, needed: tuple[str, ...], known: Digests | None = None, *, fix: str) -> dict[str, Array]:
    """All arrays of a file of pictures, by name.

    Args:
        needed: arrays of as many pictures of one size each.
        known: the file's hash; a damaged file is restored from DVC's cache, with a warning.
        fix: how it is made again; ends the error's line.

    Raises:
        GigatokError: the file is missing, damaged, or holds something else.
    """
    make_sound(path, known, fix=fix)
    found = read_npz(path, fix=fix).arrays
    shapes = {found[name].shape for name in needed if name in found and found[name].dtype == np.uint8}
    if not set(needed) <= found.keys() or len(shapes) != 1 or len(shape := shapes.pop()) != 4 or shape[3] != 3:
        raise GigatokError(f"{path} does not hold {' and '.join(needed)}, uint8 (n, H, W, 3): {fix}")
    return found


def _write(path: Path, arrays: dict[str, Array]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
