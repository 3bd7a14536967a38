"""What saving and loading need to know of the processes that train together."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Peers(Protocol):
    """The processes of one run. All of them call every method."""

    @property
    def rank(self) -> int:
        """Of this process, from 0."""

    @property
    def world(self) -> int:
        """How many there are."""

    @property
    def saving(self) -> Any:
        """Process group for saving alone, on the CPU: it is used while training uses another. ``None``: the default."""

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` is set on any process."""

    def from_main(self, value: T) -> T:
        """``value`` of rank 0."""


class _Alone:
    rank = 0
    world = 1
    saving = None

    def any(self, flag: bool) -> bool:
        return flag

    def from_main(self, value: T) -> T:
        return value


ALONE: Peers = _Alone()
"""One process."""
