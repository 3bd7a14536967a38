"""The embedded data set ``data/emoji``: every base emoji by three designers."""

from __future__ import annotations

import hashlib
from pathlib import Path

from gigatok.config import GigatokError
from gigatok.data.parquet import ParquetReader, open_parquet
from gigatok.data.source import Source

EMOJI_PATH = "data/emoji/emoji64.parquet"
CHECKSUM_NAME = "SHA256"


def normalize_codepoints(codepoints: str) -> str:
    """One spelling for one emoji: lower case, without the presentation selector FE0F.

    Designers disagree on FE0F (``26a7`` and ``26a7-fe0f`` are the same picture), and an image filed
    under the other spelling would otherwise fall on the other side of the split.
    """
    return "-".join(part for part in codepoints.lower().split("-") if part != "fe0f")


def find_emoji() -> Path:
    """The data set's file: below the current folder, else beside the installed package."""
    for root in (Path(), Path(__file__).resolve().parents[2]):
        if (root / EMOJI_PATH).is_file():
            return root / EMOJI_PATH
    raise GigatokError(
        f"prepare.source 'emoji': {EMOJI_PATH} is missing: run from the project's folder or restore it with "
        f"'git checkout {EMOJI_PATH}'"
    )


def verify_checksum(path: Path) -> str:
    """Hex sha256 of ``path``, which must be the one in the ``SHA256`` file beside it (``sha256sum`` format).

    Raises:
        GigatokError: no sum is recorded for the file, or it differs.
    """
    sums = path.parent / CHECKSUM_NAME
    recorded: dict[str, str] = {}
    for line in sums.read_text().splitlines() if sums.is_file() else []:
        digest, _, name = line.partition("  ")
        recorded[name] = digest
    if path.name not in recorded:
        raise GigatokError(f"{sums} has no sum of {path.name}: restore it with 'git checkout {sums}'")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != recorded[path.name]:
        raise GigatokError(
            f"{path} has sha256 {found[:12]}, expected {recorded[path.name][:12]}: the file is damaged, "
            f"restore it with 'git checkout {path}'"
        )
    return found


class EmojiReader:
    """Bytes of an image. Locations name the file relative to the project, wherever that is now."""

    def __init__(self) -> None:
        self._rows = ParquetReader()

    def __call__(self, location: str) -> bytes:
        return self._rows(f"{find_emoji()}#{location.rpartition('#')[2]}")


def open_emoji() -> Source:
    """The embedded data set: 9 classes (the Unicode groups), concepts are emoji.

    Raises:
        GigatokError: missing or damaged file.
    """
    path = find_emoji()
    verify_checksum(path)
    source = open_parquet(str(path))
    records = [
        record._replace(location=f"{EMOJI_PATH}#{row}", concept=normalize_codepoints(record.concept))
        for row, record in enumerate(source.records)
    ]
    return Source(source.classes, records, EmojiReader())
