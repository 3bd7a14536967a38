from collections import Counter

import pytest

from gigatok.config import GigatokError
from gigatok.data.source import Record
from gigatok.data.split import limit_concepts, split_concepts


def records(sizes: dict[int, int], drawings: int = 3) -> list[Record]:
    """``drawings`` images of every concept, drawing by drawing, as in the emoji file."""
    return [
        Record(f"{label}-{concept}-{drawing}", label, f"{label}-{concept}", None)
        for drawing in range(drawings)
        for label, size in sizes.items()
        for concept in range(size)
    ]


def test_each_class_holds_out_its_share_of_concepts() -> None:
    sides = split_concepts(records({0: 100, 1: 40, 2: 4}), 0.1, seed=0)
    held_out = Counter(concept.split("-")[0] for concept, side in sides.items() if side == "validation")
    assert held_out == {"0": 10, "1": 4, "2": 1}
    assert len(sides) == 144


def test_tiny_classes_keep_one_for_training() -> None:
    sides = split_concepts(records({0: 1, 1: 2}), 0.9, seed=0)
    assert sides["0-0"] == "train"
    assert sorted([sides["1-0"], sides["1-1"]]) == ["train", "validation"]


def test_the_seed_decides_and_the_order_of_records_does_not() -> None:
    given = records({0: 50, 1: 50})
    assert split_concepts(given, 0.2, 1) == split_concepts(given[::-1], 0.2, 1)
    assert split_concepts(given, 0.2, 1) != split_concepts(given, 0.2, 2)


def test_a_new_class_does_not_move_the_others() -> None:
    before, after = (split_concepts(records(sizes), 0.2, 0) for sizes in ({0: 20, 1: 20}, {0: 20, 1: 20, 2: 5}))
    assert before.items() <= after.items()


def test_the_sources_own_split_wins() -> None:
    given = [record._replace(split="validation" if record.label else "train") for record in records({0: 9, 1: 9})]
    sides = split_concepts(given, 0.1, 0)
    assert all(side == ("validation" if concept[0] == "1" else "train") for concept, side in sides.items())


def test_a_concept_on_both_sides_is_refused() -> None:
    given = [Record("a", 0, "same", "train"), Record("b", 0, "same", "validation")]
    with pytest.raises(GigatokError, match=r"'same'.*\(b\)"):
        split_concepts(given, 0.1, 0)


def test_limit_keeps_proportions_and_whole_concepts() -> None:
    given = records({0: 600, 1: 300, 2: 100})
    kept = limit_concepts(given, 50, 0)
    assert Counter(concept[0] for concept in kept) == {"0": 30, "1": 15, "2": 5}


def test_limit_leaves_every_class_enough_to_split() -> None:
    kept = limit_concepts(records({0: 1000, 1: 10, 2: 10}), 12, 0)
    assert Counter(concept[0] for concept in kept) == {"0": 8, "1": 2, "2": 2}


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50, 59])
def test_limit_is_met_exactly(limit: int) -> None:
    assert len(limit_concepts(records({0: 1, 1: 2, 2: 57}), limit, 0)) == limit


@pytest.mark.parametrize("limit", [None, 60, 1000])
def test_no_limit_keeps_all(limit: int | None) -> None:
    assert len(limit_concepts(records({0: 20, 1: 40}), limit, 0)) == 60
