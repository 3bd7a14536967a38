"""The only reader of folders of images: which files count, in which order, and what is reported of the rest.

``prepare``, ``evaluate``, ``encode`` and ``reconstruct`` all come through here, so a folder is the same set to each of
them. Nothing is left out or added in silence: every set carries a record of it.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from gigatok.config import GigatokError
from gigatok.config.base import printable
from gigatok.config.reading import reason
from gigatok.data.images import FORMATS, CorruptImageError
from gigatok.data.source import may_pass, read_patiently, said_by

LARGEST_FILE = 2**30
"""Bytes of an image file at most."""
_SYSTEM_FOLDERS = ("__MACOSX", "@eaDir")
"""Copies and thumbnails that macOS's archives and Synology's disks put beside files; others begin with a dot."""
_NUMBER = re.compile(r"([0-9]+)")

HIDDEN = "hidden"
BROKEN_LINK = "broken link"
SECOND = "link to what is there already"
SPECIAL = "no regular file"
UNREADABLE = "unreadable"
NAME = "name that is not UTF-8"


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is the system's own and never counts."""
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Sorts numbers in names as numbers, folder by folder: ``2.png`` before ``10.png``."""
    parts = []
    for part in name.split("/"):
        parts += [_token(token) for token in _NUMBER.split(part) if token] + [(0, 0, "")]
    return tuple(parts), name


def _token(token: str) -> tuple[int, int, str]:
    if not token[0].isdigit() or not token.isascii():
        return (2, 0, token)
    digits = token.lstrip("0")
    return (1, len(digits), digits)


def pair_key(name: str) -> str:
    """What is equal in the names of an original and its reconstruction: no extension, no leading zeros of numbers."""
    return _NUMBER.sub(lambda found: found[1].lstrip("0") or "0", PurePosixPath(name).with_suffix("").as_posix())


@dataclass(frozen=True)
class Taken:
    """Files of a folder that count, and a record of the others."""

    root: Path
    names: tuple[str, ...]
    """Relative to ``root``, with ``/``, numbers in order."""
    linked: int = 0
    """Names among them that are links, or lie in linked folders."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Reason -> how many, sorted."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """Reason -> the first name."""

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self.root / name for name in self.names]

    def without(self, names: Collection[str], why: str) -> Taken:
        """The same without some names, which are left out for ``why``."""
        dropped = set(names)
        if not dropped:
            return self
        kept = tuple(name for name in self.names if name not in dropped)
        first = next(name for name in self.names if name in dropped)
        left_out = dict(sorted({**self.left_out, why: self.left_out.get(why, 0) + len(dropped)}.items()))
        return Taken(self.root, kept, self.linked, left_out, {**self.examples, why: first})

    def describe(self) -> str:
        """``12 images taken (2 through links), 3 left out: hidden 2 (._0.png), broken link 1 (9.png)``."""
        return files_text(len(self.names), self.linked, self.left_out, self.examples)


def files_text(count: int, linked: int, left_out: Mapping[str, int], examples: Mapping[str, str] | None = None) -> str:
    """How many files were taken and left out, in one line."""
    text = f"{count} images taken" + (f" ({linked} through links)" if linked else "")
    if not left_out:
        return text
    shown = examples or {}
    reasons = (
        f"{printable(why)} {number}" + (f" ({printable(shown[why])})" if why in shown else "")
        for why, number in left_out.items()
    )
    return f"{text}, {sum(left_out.values())} left out: {', '.join(reasons)}"


def take_files(root: Path, suffixes: Iterable[str] = FORMATS) -> Taken:
    """The files below ``root`` whose names end in one of ``suffixes`` (in any case).

    Links are followed to files and folders elsewhere; what a link shows a second time is left out. So are names that
    begin with a dot, system folders, pipes, devices and sockets, broken links, and other endings.

    Raises:
        GigatokError: ``root`` is no folder, or cannot be listed, or what it lies on fails.
    """
    if not root.is_dir():
        raise GigatokError(f"{str(root)!r} is not a folder: pass one that exists")
    walk = _Walk(root, frozenset(suffixes))
    try:
        walk.run()
    except OSError as error:
        raise GigatokError(f"{str(root)!r} cannot be listed ({reason(error)}): make it readable") from None
    names = tuple(sorted(walk.names, key=natural_key))
    reasons = sorted(walk.left_out)
    return Taken(
        root,
        names,
        linked=walk.linked,
        left_out={why: len(walk.left_out[why]) for why in reasons},
        examples={why: min(walk.left_out[why], key=natural_key) for why in reasons},
    )


class _Walk:
    """Real files and folders first, then links: which name an image goes by does not depend on the file system."""

    def __init__(self, root: Path, suffixes: frozenset[str]) -> None:
        self._root, self._suffixes = root, suffixes
        self._links: list[tuple[str, os.DirEntry[str]]] = []
        self._walked: set[str] = set()
        """Real paths of folders."""
        self._seen: set[str] = set()
        """Real paths of files that count by a name without links."""
        self.names: list[str] = []
        self.linked = 0
        self.left_out: dict[str, list[str]] = {}

    def run(self) -> None:
        self._folder("", os.path.realpath(self._root), linked=False)
        while self._links:
            links, self._links = sorted(self._links, key=lambda link: natural_key(link[0])), []
            for name, entry in links:
                self._follow(name, entry)

    def _folder(self, prefix: str, real: str, *, linked: bool) -> None:
        self._walked.add(real)
        with os.scandir(real) as entries:
            for entry in entries:
                name = prefix + entry.name
                if not _is_utf8(entry.name):
                    self._leave(name, NAME)
                elif is_hidden(entry.name):
                    self._leave(name, HIDDEN)
                elif entry.is_symlink():
                    self._links.append((name, entry))
                else:
                    self._entry(name, entry, entry.path, linked=linked)

    def _entry(self, name: str, entry: os.DirEntry[str], real: str, *, linked: bool) -> None:
        try:
            mode = entry.stat().st_mode
        except OSError as error:
            self._leave_unreadable(name, error)
            return
        suffix = PurePosixPath(name).suffix.lower()
        if stat.S_ISDIR(mode):
            if suffix in self._suffixes:
                self._leave(name, f"folder called {suffix}")
            if real in self._walked:
                self._leave(name, SECOND)
                return
            try:
                self._folder(f"{name}/", real, linked=linked)
            except OSError as error:
                self._leave_unreadable(name, error)
        elif not stat.S_ISREG(mode):
            self._leave(name, SPECIAL)
        elif suffix not in self._suffixes:
            self._leave(name, f"extension {suffix}" if suffix else "no extension")
        elif entry.is_symlink() and real in self._seen:
            self._leave(name, SECOND)
        else:
            self.names.append(name)
            self.linked += linked
            if not entry.is_symlink():  # several links to one file elsewhere are how caches store equal images
                self._seen.add(real)

    def _follow(self, name: str, entry: os.DirEntry[str]) -> None:
        real = os.path.realpath(entry.path)
        if not os.path.exists(real):
            self._leave(name, BROKEN_LINK)
        elif os.path.realpath(self._root).startswith(real.rstrip(os.sep) + os.sep):
            self._leave(name, SECOND)  # a folder around this one
        else:
            self._entry(name, entry, real, linked=True)

    def _leave_unreadable(self, name: str, error: OSError) -> None:
        """Leave out what is gone or not to be read. A disk that fails ends the walk, or a set would depend on it."""
        if may_pass(error):
            raise error
        self._leave(name, UNREADABLE)

    def _leave(self, name: str, why: str) -> None:
        self.left_out.setdefault(why, []).append(name)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # the system's bytes, escaped by Python
        return False
    return True


class FileReader:
    """Bytes of an image file.

    Raises:
        CorruptImageError: the file is gone, not readable, no regular file or too large, so that it is counted as a
            damaged one is.
        GigatokError: what the file lies on fails.
    """

    def __call__(self, location: str) -> bytes:
        def read() -> bytes:
            status = os.stat(location)
            if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
                raise CorruptImageError(location, SPECIAL)
            if status.st_size > LARGEST_FILE:
                raise CorruptImageError(location, f"larger than {LARGEST_FILE >> 20} MiB")
            return Path(location).read_bytes()

        try:
            return read_patiently(read, location)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise CorruptImageError(location, said_by(error)) from None


def count_traits(traits: Iterable[Collection[str]]) -> dict[str, int]:
    """How many images have each trait, sorted by name."""
    counted = Counter(trait for found in traits for trait in found)
    return dict(sorted(counted.items()))


def partners(first: Iterable[str], second: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names with equal ``pair_key``, in the order of ``first``.

    Raises:
        GigatokError: a name has no partner in the other set, or several names of a set have one key.
    """
    ours, theirs = _by_key(first), _by_key(second)
    alone = [ours[key] for key in ours if key not in theirs], [theirs[key] for key in theirs if key not in ours]
    if any(alone):
        sides = zip(("first", "second"), alone, strict=True)
        shown = "; ".join(f"of the {side} set {len(names)}: {_listed(names)}" for side, names in sides if names)
        raise GigatokError(
            f"images without a partner of the same name ({shown}): name each reconstruction like its original "
            "(numbers may have leading zeros), or pass the two as .npz arrays in one order"
        )
    for key, name in ours.items():
        yield name, theirs[key]


def _by_key(names: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in names:
        other = found.setdefault(pair_key(name), name)
        if other != name:
            raise GigatokError(f"{other} and {name} have one name, so no pair can be made of either: remove one")
    return found


def _listed(names: list[str], shown: int = 3) -> str:
    return ", ".join(map(printable, names[:shown])) + (" ..." if len(names) > shown else "")
