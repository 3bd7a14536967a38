"""Images in folders named after their class: ``root/class/*``, or ImageNet's ``root/{train,val}/class/*``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gigatok.config import GigatokError
from gigatok.data.images import CorruptImageError
from gigatok.data.source import Record, Source, Split

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
_VALIDATION_NAMES = ("val", "validation")


class FileReader:
    """Bytes of an image file.

    Raises:
        CorruptImageError: the file is gone or not readable, so that it is counted as a damaged one is.
    """

    def __call__(self, location: str) -> bytes:
        try:
            return Path(location).read_bytes()
        except OSError as error:
            raise CorruptImageError(location, error.strerror or type(error).__name__) from None


def open_imagefolder(path: str) -> Source:
    """All images below ``path``, sorted by class and name. Classes are the folder names, sorted.

    With both ``train`` and ``val`` (or ``validation``) inside, those are the splits; else there is none.

    Raises:
        GigatokError: the folder is missing, has no class folders, a class folder has no images, or a
            validation class is not among the training classes.
    """
    root = Path(path)
    if not root.is_dir():
        raise GigatokError(
            f"prepare.path {path!r} is not a folder: set it to the folder that holds one subfolder per class"
        )
    validation = next((root / name for name in _VALIDATION_NAMES if (root / name).is_dir()), None)
    if (root / "train").is_dir() and validation is not None:
        classes = _class_names(root / "train")
        unknown = sorted(set(_class_names(validation)) - set(classes))
        if unknown:
            raise GigatokError(
                f"prepare.path {path!r}: classes {unknown[:5]} are in {validation.name} but not in train"
            )
        records = [
            *_records(root, root / "train", classes, "train"),
            *_records(root, validation, classes, "validation"),
        ]
    else:
        classes = _class_names(root)
        records = list(_records(root, root, classes, None))
    return Source(classes, records, FileReader())


def _class_names(root: Path) -> list[str]:
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise GigatokError(
            f"prepare.path: {root} has no class folders: sort its images into one subfolder per class "
            "(for ImageNet's validation images, the public valprep.sh does so)"
        )
    return names


def _records(root: Path, folder: Path, classes: list[str], split: Split | None) -> Iterator[Record]:
    for label, name in enumerate(classes):
        if not (folder / name).is_dir():
            continue  # a class without validation images
        files = sorted(
            entry
            for entry in (folder / name).rglob("*")
            if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")
        )
        if not files:
            raise GigatokError(f"prepare.path: class folder {folder / name} has no images: remove it or fill it")
        for file in files:
            yield Record(str(file), label, file.relative_to(root).as_posix(), split)
