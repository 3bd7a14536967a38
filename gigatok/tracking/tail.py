"""Reading a growing file of lines from where the last look ended."""

from __future__ import annotations

from pathlib import Path


class Tail:
    """New whole lines of a file since the last call; from the start again if the file was replaced or cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = -1
        self._offset = 0

    def lines(self) -> list[bytes]:
        """Lines without their ends; a last line without an end waits for the next call."""
        try:
            with self._path.open("rb") as file:
                stat = self._path.stat()
                if stat.st_ino != self._inode or stat.st_size < self._offset:
                    self._inode, self._offset = stat.st_ino, 0
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        whole = content.rfind(b"\n") + 1
        self._offset += whole
        return content[:whole].splitlines()

    def rewind(self) -> None:
        """Read from the start next time."""
        self._inode = -1
