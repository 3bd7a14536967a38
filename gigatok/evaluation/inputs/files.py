"""Evaluation sets from folders and ``.npz`` files, and stored statistics in ADM's layout."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import replacing
from gigatok.config import GigatokError
from gigatok.data.images import decode_rgb
from gigatok.data.transforms import center_crop
from gigatok.evaluation.arrays import UInt8
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet, Moments, content_sha256, evaluation_set
from gigatok.evaluation.metrics.frechet import Gaussian

CODECS = {".png": "png", ".webp": "webp", ".bmp": "bmp", ".jpg": "jpeg", ".jpeg": "jpeg"}
"""By file name; the content decides between JPEG and the two kinds of WebP."""


LOSSY = ("jpeg", "lossy webp")


def open_set(path: Path | str, *, crop: int | None = None, allow_lossy: bool = False) -> EvaluationSet:
    """A folder of images (searched in depth, in the order of their paths), or an ``.npz``.

    Args:
        crop: ADM centre crop of folder images to this side; ``None``: they must have one common size
        allow_lossy: take JPEG and lossy WebP files. Compression alone moves FID by more than most papers' gains, so
            they are refused unless asked for; the codec is recorded either way.

    Raises:
        GigatokError: nothing there, unreadable, lossy without ``allow_lossy``, or sizes that differ.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path, crop, allow_lossy)
    if path.suffix == ".npz":
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
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {key: archive[key] for key in archive.files if key in _KEYS}
            names = archive.files
    except FileNotFoundError:
        raise GigatokError(f"{str(path)!r} does not exist: pass an .npz or a folder") from None
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise GigatokError(f"{str(path)!r} cannot be read as an .npz of plain arrays ({error})") from None
    images = next((found[key] for key in ("arr_0", "samples") if key in found), None)
    moments = _moments(found)
    if images is None and moments is None:
        raise GigatokError(f"{str(path)!r} holds {', '.join(names) or 'nothing'}: expected arr_0, or mu and sigma")
    if images is not None and (images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3):
        raise GigatokError(f"{str(path)!r}: images {images.shape} {images.dtype}, expected uint8 (n, H, W, 3)")
    if moments is None and images is not None:
        return evaluation_set(images, path.name)
    used = [found[key] for key in sorted(found)]
    return EvaluationSet(name=path.name, sha256=content_sha256(*used), images=images, moments=moments)


_KEYS = ("arr_0", "samples", "mu", "sigma", "mu_s", "sigma_s")


def _moments(found: dict[str, npt.NDArray[np.generic]]) -> Moments | None:
    if "mu" not in found or "sigma" not in found:
        return None
    spatial = _gaussian(found["mu_s"], found["sigma_s"]) if {"mu_s", "sigma_s"} <= found.keys() else None
    return Moments(_gaussian(found["mu"], found["sigma"]), spatial)


def _gaussian(mean: npt.NDArray[np.generic], covariance: npt.NDArray[np.generic]) -> Gaussian:
    return Gaussian(mean.astype(np.float64), covariance.astype(np.float64))


def _open_folder(folder: Path, crop: int | None, allow_lossy: bool) -> EvaluationSet:
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in CODECS and path.is_file())
    if not files:
        raise GigatokError(f"{str(folder)!r} holds no {', '.join(CODECS)} files")
    codecs = sorted({_codec(path) for path in files})
    lossy = [codec for codec in LOSSY if codec in codecs]
    if lossy and not allow_lossy:
        raise GigatokError(
            f"{str(folder)!r} holds {' and '.join(lossy)} files, whose compression changes the score: "
            "save PNG or .npz, or allow lossy files (--allow-lossy) for originals that exist as such only"
        )
    images: list[UInt8] = []
    changed = False
    for path in files:
        picture = decode_rgb(path.read_bytes(), str(path))
        changed |= crop is not None and picture.size != (crop, crop)
        pixels = center_crop(picture, crop) if crop is not None else np.asarray(picture)
        if images and pixels.shape != images[0].shape:
            raise GigatokError(
                f"{str(path)!r} is {pixels.shape[1]}x{pixels.shape[0]}, the images before it are "
                f"{images[0].shape[1]}x{images[0].shape[0]}: give one size to crop to (--crop)"
            )
        images.append(pixels)
    stacked = np.stack(images)
    judged = evaluation_set(stacked, folder.name, "+".join(codecs))
    return replace(judged, crop=crop if changed else None)


def _codec(path: Path) -> str:
    """What compressed an image file: a name says neither whether WebP is lossy nor that a .png is a renamed JPEG."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[:3] == b"\xff\xd8\xff":
            return "jpeg"
        if start[:4] == b"RIFF" and start[8:] == b"WEBP":
            return "lossy webp" if _holds_vp8(file) else "webp"
    return CODECS[path.suffix.lower()]


def _holds_vp8(file: BinaryIO) -> bool:
    """Whether a WebP file, read up to its first chunk, has lossy pixels (``VP8 ``; lossless ones are ``VP8L``)."""
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"VP8 ":
            return True
        # A frame of an animation (ANMF) has 16 bytes of its own, then chunks; other chunks end on even bytes.
        file.seek(16 if name == b"ANMF" else size + size % 2, os.SEEK_CUR)
    return False
