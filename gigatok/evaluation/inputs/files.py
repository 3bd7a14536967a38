"""Evaluation sets from folders and ``.npz`` files, and stored statistics in ADM's layout."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import replacing
from gigatok.artifacts.arrays import read_npz
from gigatok.config import ConfigError, GigatokError
from gigatok.config.base import printable
from gigatok.data.image_files import FileReader, Taken, count_traits, take_files
from gigatok.data.images import FORMATS, CorruptImageError, Decoded, Trait, Transparency, decode_with_traits
from gigatok.data.split import split_called
from gigatok.data.transforms import center_crop
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, Moments, content_sha256, evaluation_set
from gigatok.evaluation.metrics.frechet import Gaussian

LOSSY = ("jpeg", "lossy webp", "gif")
_CODECS = {"MPO": "jpeg"}
_ARRAYS = ("arr_0", "samples", "mu", "sigma", "mu_s", "sigma_s")
_LARGEST_CROP = 4096
_SHOWN = 3
"""Unreadable files named in the error."""


def open_set(
    path: Path | str,
    *,
    crop: int | None = None,
    allow_lossy: bool = False,
    transparency: Transparency = "white",
) -> EvaluationSet:
    """A folder of images (searched in depth, numbers in their names in order), or an ``.npz``.

    Args:
        crop: ADM centre crop of folder images to this side; ``None``: they must have one common size
        allow_lossy: take JPEG, lossy WebP and GIF files. Compression alone moves FID by more than most papers' gains,
            so they are refused unless asked for; the codec is recorded either way.
        transparency: what becomes of transparent pixels, which the protocol says

    Raises:
        ConfigError: a crop out of range.
        GigatokError: nothing there, unreadable, lossy without ``allow_lossy``, sizes that differ, or a folder of
            several splits.
    """
    path = Path(path)
    if crop is not None and not 1 <= crop <= _LARGEST_CROP:
        raise ConfigError(f"crop {crop} is not in 1..{_LARGEST_CROP} pixels: change it")
    if path.is_dir():
        return _open_folder(path, crop, allow_lossy, transparency)
    if path.suffix.lower() == ".npz":
        return _open_npz(path)
    raise GigatokError(f"{str(path)!r} is neither a folder nor an .npz file: pass one of them")


def write_adm_npz(path: Path, images: UInt8 | None = None, moments: Moments | None = None) -> None:
    """Write ``arr_0`` (n, H, W, 3) and / or ``mu``, ``sigma`` (``mu_s``, ``sigma_s``) as ADM's evaluator reads them."""
    values: dict[str, npt.NDArray[np.generic]] = {}
    if images is not None:
        values["arr_0"] = images
    if moments is not None:
        values |= {"mu": moments.pool.mean, "sigma": moments.pool.covariance}
        if moments.spatial is not None:
            values |= {"mu_s": moments.spatial.mean, "sigma_s": moments.spatial.covariance}
    if not values:
        raise GigatokError(f"nothing to write to {path}: pass images, moments or both")
    with replacing(Path(path)) as temporary, temporary.open("wb") as file:
        np.savez(file, **values)  # type: ignore[arg-type]


def _open_npz(path: Path) -> EvaluationSet:
    found, names = read_npz(path, _ARRAYS, fix="pass an .npz that is whole, or a folder")
    images = next((found[key] for key in ("arr_0", "samples") if key in found), None)
    moments = _moments(found, path)
    if images is None and moments is None:
        raise GigatokError(f"{str(path)!r} holds {', '.join(names) or 'nothing'}: expected arr_0, or mu and sigma")
    if images is not None and (images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3):
        raise GigatokError(f"{str(path)!r}: images {images.shape} {images.dtype}, expected uint8 (n, H, W, 3)")
    if images is not None and not images.size:
        raise GigatokError(f"{str(path)!r}: images {images.shape}, expected at least one: write it again")
    order = _order_of_rows(path, images)
    if moments is None and images is not None:
        return replace(evaluation_set(images, path.name), order=order)
    used = [found[key] for key in sorted(found)]
    return EvaluationSet(name=path.name, sha256=content_sha256(*used), images=images, moments=moments, order=order)


def _order_of_rows(path: Path, images: UInt8 | None) -> Literal["array", "classes"]:
    """``classes`` where ADM's labels (``arr_1``) show that images of a class lie together."""
    try:
        labels = read_npz(path, ("arr_1",), fix="").arrays.get("arr_1")
    except GigatokError:
        return "array"  # no labels that could say so
    if images is None or labels is None or labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        return "array"
    return "classes" if labels[0] != labels[-1] and bool((labels[1:] >= labels[:-1]).all()) else "array"


def _moments(found: dict[str, npt.NDArray[np.generic]], path: Path) -> Moments | None:
    if "mu" not in found or "sigma" not in found:
        return None
    spatial = _gaussian(found["mu_s"], found["sigma_s"], path) if {"mu_s", "sigma_s"} <= found.keys() else None
    return Moments(_gaussian(found["mu"], found["sigma"], path), spatial)


def _gaussian(mean: npt.NDArray[np.generic], covariance: npt.NDArray[np.generic], path: Path) -> Gaussian:
    fits = mean.ndim == 1 and len(mean) and covariance.shape == (len(mean), len(mean))
    if not fits or mean.dtype.kind != "f" or covariance.dtype.kind != "f":
        raise GigatokError(
            f"{str(path)!r}: mean {mean.shape} {mean.dtype}, covariance {covariance.shape} {covariance.dtype}, "
            "expected floating-point (d,) and (d, d): write it again"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise GigatokError(f"{str(path)!r}: mean or covariance has values that are no finite numbers: write it again")
    return Gaussian(mean.astype(np.float64), covariance.astype(np.float64))


def _open_folder(folder: Path, crop: int | None, allow_lossy: bool, transparency: Transparency) -> EvaluationSet:
    taken = take_files(folder)
    if not taken.names:
        raise GigatokError(f"{str(folder)!r} holds no images ({taken.describe()}): known are {', '.join(FORMATS)}")
    _require_one_split(folder, taken)
    images: UInt8 | None = None
    codecs: set[str] = set()
    traits: list[frozenset[Trait]] = []
    changed = False
    for place, (name, found) in enumerate(zip(taken.names, _decoded(taken, transparency), strict=True)):
        codec = _codec(found)
        if codec in LOSSY and not allow_lossy:
            raise GigatokError(
                f"{str(folder)!r} holds {codec} files, whose compression changes the score (the first is {name}): "
                "save PNG or .npz, or allow lossy files (--allow-lossy) for originals that exist as such only"
            )
        picture = found.picture
        changed |= crop is not None and picture.size != (crop, crop)
        pixels = center_crop(picture, crop) if crop is not None else np.asarray(picture)
        if images is None:  # filled image by image: a list that is stacked would take their size twice
            images = np.empty((len(taken.names), *pixels.shape), dtype=np.uint8)
        if pixels.shape != images.shape[1:]:
            raise GigatokError(
                f"{str(folder / name)!r} is {pixels.shape[1]}x{pixels.shape[0]}, the images before it are "
                f"{images.shape[2]}x{images.shape[1]}: give one size to crop to (--crop)"
            )
        images[place] = pixels
        codecs.add(codec)
        traits.append(found.traits)
    assert images is not None  # for the type checker: there is a file
    folders = {name.rpartition("/")[0] for name in taken.names}
    return replace(
        evaluation_set(images, printable(folder.name), "+".join(sorted(codecs))),
        crop=crop if changed else None,
        names=taken.names,
        order="folders" if len(folders) > 1 else "names",
        linked=taken.linked,
        left_out=taken.left_out,
        examples=taken.examples,
        traits=count_traits(traits),
        transparency=transparency,
    )


def _require_one_split(folder: Path, taken: Taken) -> None:
    splits = sorted({name.split("/")[0] for name in taken.names if "/" in name and split_called(name.split("/")[0])})
    if len(splits) > 1:
        raise GigatokError(f"{str(folder)!r} holds the splits {', '.join(splits)}: pass one of these folders")


def _decoded(taken: Taken, transparency: Transparency) -> Iterator[Decoded]:
    """Each picture in order.

    Raises:
        CorruptImageError: one cannot be read; all others are tried first, so that all are named at once.
    """
    read, paths = FileReader(), iter(taken.paths)
    for path in paths:
        try:
            yield decode_with_traits(read(str(path)), str(path), transparency)
        except CorruptImageError as first:
            bad = [first, *_unreadable(read, paths)]
            if len(bad) == 1:
                raise
            shown = "; ".join(f"{Path(each.location).name} ({each.reason})" for each in bad[1:_SHOWN])
            more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
            raise CorruptImageError(first.location, f"{first.reason}; so are {shown}{more}") from None


def _unreadable(read: FileReader, paths: Iterator[Path]) -> Iterator[CorruptImageError]:
    for path in paths:
        try:
            decode_with_traits(read(str(path)), str(path))
        except CorruptImageError as error:
            yield error


def _codec(found: Decoded) -> str:
    """What compressed an image: a name says neither whether WebP is lossy nor that a .png is a renamed JPEG."""
    if found.format == "WEBP":
        return "lossy webp" if _holds_vp8(io.BytesIO(found.data)) else "webp"
    if found.format == "TIFF" and ("jpeg" in found.compression or "webp" in found.compression):
        return "jpeg" if "jpeg" in found.compression else "lossy webp"
    return _CODECS.get(found.format, found.format.lower())


def _holds_vp8(file: BinaryIO) -> bool:
    """Whether a WebP file has lossy pixels (``VP8 ``; lossless ones are ``VP8L``)."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"VP8 ":
            return True
        # A frame of an animation (ANMF) has 16 bytes of its own, then chunks; other chunks end on even bytes.
        file.seek(16 if name == b"ANMF" else size + size % 2, os.SEEK_CUR)
    return False
