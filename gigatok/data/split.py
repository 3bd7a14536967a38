"""Which concepts are trained on and which are held out: by the data's own split, or by a draw."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np

from gigatok.config import GigatokError
from gigatok.data.source import Record, Split

K = TypeVar("K", bound=Hashable)

_LIMIT_STREAM, _SPLIT_STREAM = 1, 2
"""Names of the random streams drawn from one seed, so that a limit does not change the split's draw."""


OwnSplit = Literal["train", "validation", "test"]
"""How data sets are handed out. Nothing here trains on a test split or validates with it."""
TEST_SPLIT = "test split"
"""Why its images are left out."""
_OWN: dict[str, OwnSplit] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_WORDS: dict[str, OwnSplit] = {**_OWN, **{f"{word}set": split for word, split in _OWN.items()}}
_SAYS_NO_MORE = {"set", "split", "data", "dataset", "image", "images", "img", "imgs", "folder"}
"""Words beside a split's that leave a name a split's: ``training_set``, ``val2017``, ``test-images``."""
_HELD_OUT = {"dev", "devel", "eval", "evaluation", "holdout"}
"""Other words for what nothing is trained on. They are no splits here, but no reason to train on it either."""
_WORD = re.compile(r"[^\W\d_]+|\d+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def _words(name: str) -> list[str]:
    """``CIFAR10-testSet_01`` -> cifar, 10, test, set, 01."""
    return _WORD.findall(_HUMP.sub("-", name).casefold())


def split_called(name: str) -> OwnSplit | None:
    """The split that a folder or a column's value names, in any case, with words that say no more.

    ``test_set`` and ``Val2017`` are splits; ``test-tube`` and ``bullet_train`` are not.
    """
    words = _words(name)
    found = {_WORDS[word] for word in words if word in _WORDS}
    plain = all(word in _WORDS or word in _SAYS_NO_MORE or word.isdecimal() for word in words)
    return found.pop() if len(found) == 1 and plain else None


def split_of_shard(name: str) -> OwnSplit | None:
    """The split of ``train-00000-of-00005.parquet``, ``cifar10-test.parquet`` and the like.

    A folder of its path that is called like one decides, else a word of the file's name, else a word of a folder's.

    Raises:
        GigatokError: the file's name has words of two splits.
    """
    *folders, file = name.split("/")
    called = next((split for folder in folders if (split := split_called(folder)) is not None), None)
    if called is not None:
        return called
    found = [{_WORDS[word] for word in _words(part) if word in _WORDS} for part in (file, *folders)]
    if len(found[0]) > 1:
        raise GigatokError(
            f"prepare.path: {name} is named after {' and '.join(sorted(found[0]))}: name it after the one whose rows "
            "it has"
        )
    return next((next(iter(splits)) for splits in found if len(splits) == 1), None)


def is_held_out(name: str) -> bool:
    """Whether a word of a name is one for validation or test data."""
    return any(_WORDS.get(word, "train") != "train" or word in _HELD_OUT for word in _words(name))


def seems_split(name: str) -> bool:
    """Whether a word of a name is one for a part of a data set, training data among them."""
    return is_held_out(name) or any(word in _WORDS for word in _words(name))


def require_whole_split(found: Iterable[OwnSplit | None], where: str, layout: str) -> bool:
    """Whether the parts of a data set have a split of their own: training and validation.

    Training beside a test split, or alone, has none: what is held out is then drawn from it.

    Args:
        found: the split of each part; ``None``: its name says nothing.
        where: names the data set in the error.
        layout: what is expected instead.

    Raises:
        GigatokError: some parts are splits and others are not, or there is nothing to train on.
    """
    kinds = set(found)
    if None in kinds and len(kinds) > 1:
        raise GigatokError(f"{where}: some names are splits (train, val, test) and others are not; expected {layout}")
    if kinds and None not in kinds and "train" not in kinds:
        raise GigatokError(f"{where} holds {' and '.join(sorted(map(str, kinds)))} but no train; expected {layout}")
    return {"train", "validation"} <= kinds


def no_own_split(path: str | None) -> str:
    """What is wrong with data that profile ``paper`` would have to hold out a part of."""
    return (
        f"prepare.path {path!r} has no validation split, and profile paper holds none out of the training images: set "
        "it to data that bring one (for ImageNet: the folder that holds train/ and val/)"
    )


def limit_concepts(records: Sequence[Record], limit: int | None, seed: int) -> set[str]:
    """Concepts to keep: ``limit`` of them, each class and split keeping its share; ``None``: all.

    Every group keeps at least two concepts where it has them and the limit allows, so that a small
    selection can still be split within every class.
    """
    groups = _concepts_by(records, [(record.split or "", record.label) for record in records])
    if limit is None or limit >= sum(map(len, groups.values())):
        return {record.concept for record in records}
    shares = _apportion({group: len(concepts) for group, concepts in groups.items()}, limit)
    kept: set[str] = set()
    for number, (group, concepts) in enumerate(groups.items()):
        order = np.random.default_rng([seed, _LIMIT_STREAM, number]).permutation(len(concepts))
        kept.update(concepts[index] for index in order[: shares[group]])
    return kept


def split_concepts(records: Sequence[Record], validation_fraction: float, seed: int) -> dict[str, Split]:
    """Side of every concept: the source's own split where it has one, else a seeded draw per class.

    A class holds out ``round(fraction * concepts)``, at least one where it has two or more.

    Raises:
        GigatokError: the source puts images of one concept on both sides.
    """
    sides: dict[str, Split] = {}
    for record in records:
        if record.split is not None and sides.setdefault(record.concept, record.split) != record.split:
            raise GigatokError(
                f"prepare.path: concept {record.concept!r} is in train and in validation "
                f"({record.location}): put all its images on one side"
            )
    open_records = [record for record in records if record.concept not in sides]
    groups = _concepts_by(open_records, [record.label for record in open_records])
    for label, concepts in groups.items():
        order = np.random.default_rng([seed, _SPLIT_STREAM, int(label)]).permutation(len(concepts))
        wanted = max(round(validation_fraction * len(concepts)), 1)
        held_out = set(order[: min(wanted, len(concepts) - 1)].tolist())
        for index, concept in enumerate(concepts):
            sides[concept] = "validation" if index in held_out else "train"
    return sides


def _concepts_by(records: Sequence[Record], keys: Sequence[K]) -> dict[K, list[str]]:
    """Sorted concepts of each key, keys sorted; a concept belongs to the key of its first record."""
    first: dict[str, K] = {}
    for record, key in zip(records, keys, strict=True):
        first.setdefault(record.concept, key)
    groups: defaultdict[K, list[str]] = defaultdict(list)
    for concept in sorted(first):
        groups[first[concept]].append(concept)
    return {key: groups[key] for key in sorted(groups, key=repr)}


def _apportion(sizes: Mapping[K, int], limit: int) -> dict[K, int]:
    """Seats for each group in proportion to its size, with a floor of two (or one, or none, as they fit)."""
    floor = min(2, limit // len(sizes))
    total = sum(sizes.values())
    share = {key: size / total * limit for key, size in sizes.items()}
    seats = {key: min(size, max(floor, int(share[key]))) for key, size in sizes.items()}
    while sum(seats.values()) < limit:
        hungry = [key for key in sizes if seats[key] < sizes[key]]
        seats[max(hungry, key=lambda key: share[key] - seats[key])] += 1
    while sum(seats.values()) > limit:
        rich = [key for key in sizes if seats[key] > floor]
        seats[max(rich, key=lambda key: seats[key] - share[key])] -= 1
    return seats
