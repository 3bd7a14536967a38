"""Files as nobody wrote them: mutated ones, made-up values, and what a reader may do with them."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from gigatok.config import GigatokError

T = TypeVar("T")

_ASKED = os.environ.get("GIGATOK_FUZZ_EXAMPLES")
fuzzed = settings(
    max_examples=int(_ASKED or 200),
    deadline=None,
    database=None,
    derandomize=_ASKED is None,
    suppress_health_check=list(HealthCheck),
)
"""200 examples a reader, the same every time; any number of new ones with ``GIGATOK_FUZZ_EXAMPLES`` (``make fuzz``)."""


def npz(**arrays: np.ndarray) -> bytes:
    """An ``.npz`` file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    compressed = io.BytesIO()
    np.savez_compressed(compressed, **arrays)
    return buffer.getvalue() if len(arrays) % 2 else compressed.getvalue()


ODD_VALUES: list[Any] = [None, True, -1, 0, 2**31, 2**70, 0.5, -0.0, "", "x", "\0", "é", [], {}, [[]], {"a": 1}]


@st.composite
def mutated(draw: st.DrawFn, *seeds: bytes) -> bytes:
    """One of ``seeds`` with some bytes flipped, cut off, dropped, inserted, repeated, or set to extremes."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 8))
        change = draw(st.sampled_from(("flip", "cut", "drop", "insert", "repeat", "extreme")))
        if change == "flip" and data:
            data[place] ^= draw(st.integers(1, 255))
        elif change == "cut":
            del data[place:]
        elif change == "drop":
            del data[place : place + length]
        elif change == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif change == "repeat":
            data[place:place] = data[place : place + length * 8]
        else:
            data[place : place + length] = draw(st.sampled_from((b"\xff", b"\0", b"\x7f"))) * length
    return bytes(data)


def files(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Mutated files, now and then one of random bytes."""
    return st.one_of(mutated(*seeds), mutated(*seeds), mutated(*seeds), st.binary(max_size=200))


def odd_values() -> st.SearchStrategy[Any]:
    """One of ``ODD_VALUES``, as a copy: a later change inside it must not reach what other examples draw."""
    return st.sampled_from(ODD_VALUES).map(copy.deepcopy)


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """A tree of plain values with some of its places replaced, removed or added to."""
    tree = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        place = tree
        while isinstance(place, (dict, list)) and place:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and place[key] and draw(st.integers(0, 4)):
                place = place[key]
                continue
            change = draw(st.sampled_from(("replace", "remove", "add")))
            if change == "remove":
                del place[key]
            elif change == "add" and isinstance(place, dict):
                place[draw(st.sampled_from(("", "more", "\x1b[2J")))] = draw(odd_values())
            else:
                place[key] = draw(odd_values())
            break
    return tree


def value_or_one_error(read: Callable[[], T]) -> T | None:
    """What ``read`` returns; ``None`` if it refused with one line that a terminal can show. All else is a failure."""
    try:
        return read()
    except GigatokError as error:
        text = str(error)
    assert text.isprintable()
    assert " at 0x" not in text
    return None
