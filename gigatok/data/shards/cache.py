"""Files at addresses, and copies of them on a local disk, no more than a limit.

Set ``GIGATOK_SHARD_CACHE`` to a folder and ``GIGATOK_SHARD_CACHE_GB`` to its limit (default 100). Without a folder
every image of a remote shard is one request. A shard is copied whole when it is first read, while there is room; then
no more is copied and none is removed: an epoch visits each image once, so whatever a newer shard pushed out would be
needed again before it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gigatok.config import ConfigError, GigatokError
from gigatok.config.base import login_of, without_login
from gigatok.config.reading import reason

FOLDER_VARIABLE = "GIGATOK_SHARD_CACHE"
LIMIT_VARIABLE = "GIGATOK_SHARD_CACHE_GB"
_DEFAULT_LIMIT = 100.0
_PART = re.compile(r"[0-9a-f]{32}\.tar\.([1-9][0-9]{0,8})\.part")
"""What a process names a copy that it is making, with its number."""


def is_remote(path: str) -> bool:
    """Whether ``path`` is an address, as fsspec writes them: ``s3://bucket/folder``, ``https://...``."""
    return "://" in path


class ShardCache:
    """Opens paths and addresses.

    Args:
        login: ``user:password``, put into addresses as they are opened.

    Raises:
        ConfigError: the limit is no number.
    """

    def __init__(self, login: str = "") -> None:
        self._login = login
        folder = os.environ.get(FOLDER_VARIABLE)
        text = os.environ.get(LIMIT_VARIABLE, str(_DEFAULT_LIMIT))
        try:
            limit = float(text)
        except ValueError:
            limit = -1.0
        if not 0 <= limit < float("inf"):
            raise ConfigError(f"{LIMIT_VARIABLE} {text!r} is no number of gigabytes: set it to one, e.g. 100")
        self._folder = Path(folder) if folder else None
        self._limit = int(limit * 1e9)
        self._full = False

    def small(self, file: str, most: int) -> bytes | None:
        """A whole file of at most ``most`` bytes; ``None``: there is none.

        Raises:
            GigatokError: it is larger, or cannot be read.
        """
        try:
            if not is_remote(file):
                size = os.stat(file).st_size if Path(file).is_file() else None
            else:
                system, path = self._system(file)
                size = system.size(path) if system.exists(path) else None
            if size is None:
                return None
            if size > most:
                raise GigatokError(f"{file} is larger than {most >> 20} MiB: restore it")
            return self.part(file, 0, size)
        except GigatokError:
            raise
        except Exception as error:  # fsspec's file systems raise kinds of their own, ImportError for a missing one
            raise GigatokError(f"prepare.path: {file} cannot be read ({self.why(error)})") from None

    @contextmanager
    def local(self, file: str, sha256: str) -> Iterator[Path]:
        """A file as a path, copied for the length of the block where it is remote.

        Raises:
            GigatokError: it cannot be read, or has another hash.
        """
        with TemporaryDirectory(prefix="gigatok-") as folder:
            path = Path(file)
            if is_remote(file):
                path = Path(folder) / "copy"
                try:
                    system, remote = self._system(file)
                    system.get_file(remote, str(path))
                except Exception as error:  # as above
                    raise GigatokError(f"prepare.path: {file} cannot be read ({self.why(error)})") from None
            if not path.is_file():
                raise GigatokError(f"prepare.path: {file} does not exist: restore it")
            with path.open("rb") as content:
                if hashlib.file_digest(content, "sha256").hexdigest() != sha256:
                    raise GigatokError(f"prepare.path: {file} is damaged (SHA-256 differs): restore it")
            yield path

    def why(self, error: BaseException) -> str:
        """What a file system's error says, without the login, which it may quote in an address or alone."""
        text = without_login(reason(error))
        return text.replace(f"{self._login}@", "").replace(self._login, "***") if self._login else text

    def part(self, file: str, offset: int, length: int) -> bytes:
        """Bytes of a file, fewer at its end. Errors are the file system's."""
        if not is_remote(file):
            with Path(file).open("rb") as content:
                content.seek(offset)
                return content.read(length)
        system, path = self._system(file)
        found: bytes = system.cat_file(path, offset, offset + length) if length else b""
        return found

    def shard(self, file: str) -> Path | None:
        """Where a shard lies on a local disk, copied there if there is room; ``None``: nowhere."""
        if not is_remote(file):
            return Path(file)
        if self._folder is None:
            return None
        copy = self._copy(file)
        return copy if copy.is_file() or self._fetch(file, copy) else None

    def require_folder(self) -> None:
        """Make the folder of copies, where one is named.

        Raises:
            ConfigError: nothing can be written into it.
        """
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                pass
        except OSError as error:
            raise ConfigError(
                f"{FOLDER_VARIABLE} {str(self._folder)!r} takes no files ({reason(error)}): "
                "set it to a folder that does, or to none"
            ) from None

    def drop(self, file: str) -> None:
        """Remove the copy of a shard: what is at its address may have changed."""
        if is_remote(file) and self._folder is not None:
            self._copy(file).unlink(missing_ok=True)

    def _system(self, address: str) -> tuple[Any, str]:
        """The file system of an address, and the path in it. An HTTP server's login may also be in ``~/.netrc``."""
        from fsspec.core import url_to_fs

        if self._login and not login_of(address):
            address = address.replace("://", f"://{self._login}@", 1)
        options = {"client_kwargs": {"trust_env": True}} if address.startswith(("http://", "https://")) else {}
        system, path = url_to_fs(address, **options)
        return system, str(path)

    def _copy(self, file: str) -> Path:
        assert self._folder is not None  # for the type checker
        return self._folder / f"{hashlib.sha256(file.encode()).hexdigest()[:32]}.tar"

    def _fetch(self, file: str, copy: Path) -> bool:
        """Copy a shard; ``False``: there is no room, or another process is at it."""
        if self._full:
            return False
        try:
            return self._copied(file, copy)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._full = True  # the disk holds less than the limit: that is no damage of the image
            return False

    def _copied(self, file: str, copy: Path) -> bool:
        system, path = self._system(file)
        size = int(system.size(path))
        part = self._reserve(copy, size)
        if part is None:
            return False
        try:
            system.get_file(path, str(part))
            with self._locked():  # or who counts meanwhile finds neither name, and copies more than the limit
                part.replace(copy)
        finally:
            part.unlink(missing_ok=True)
        return True

    def _reserve(self, copy: Path, size: int) -> Path | None:
        """An empty file that counts ``size`` bytes; processes of this machine reserve one after the other."""
        self.require_folder()
        with self._locked():
            taken = 0
            for entry in os.scandir(copy.parent):
                if _is_left_behind(entry.name):
                    with suppress(OSError):  # of another user: it counts for nothing all the same
                        os.unlink(entry.path)
                    continue
                if entry.name.startswith(f"{copy.stem}."):
                    return None
                with suppress(FileNotFoundError):  # copies are dropped, and parts given up, without the lock
                    taken += entry.stat(follow_symlinks=False).st_size
            if taken + size > self._limit:
                self._full = True
                return None
            part = copy.with_name(f"{copy.name}.{os.getpid()}.part")
            with part.open("wb") as file:
                file.truncate(size)
            return part

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Be the only process that counts or renames copies while the block lasts."""
        assert self._folder is not None  # for the type checker
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _is_left_behind(name: str) -> bool:
    """Whether a file is a copy that a process died at."""
    part = _PART.fullmatch(name)
    return part is not None and not _is_alive(int(part[1]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
