import numpy as np
import pytest

from gigatok.config import ConfigError
from gigatok.data import BatchCursor


def test_an_epoch_visits_no_row_twice_and_drops_the_rest() -> None:
    cursor = BatchCursor(10, 3, seed=0)
    rows = np.concatenate([cursor.next() for _ in range(3)])
    assert len(set(rows.tolist())) == 9
    assert set(rows.tolist()) <= set(range(10))
    cursor.next()
    assert cursor.epoch == 1


def test_epochs_are_shuffled_differently_and_repeatably() -> None:
    one, two = BatchCursor(100, 100, seed=0), BatchCursor(100, 100, seed=0)
    first, second = one.next(), one.next()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, two.next())
    assert not np.array_equal(first, BatchCursor(100, 100, seed=1).next())


@pytest.mark.parametrize("taken", [0, 1, 3, 4, 7])
def test_a_restored_cursor_goes_on_where_it_was(taken: int) -> None:
    cursor = BatchCursor(10, 3, seed=5)
    for _ in range(taken):
        cursor.next()
    other = BatchCursor(10, 3, seed=5)
    other.next()
    other.restore(cursor.state())
    for _ in range(8):
        np.testing.assert_array_equal(cursor.next(), other.next())


def test_a_state_of_another_run_is_refused() -> None:
    state = BatchCursor(10, 3, seed=5).state()
    for other, name in ((BatchCursor(11, 3, 5), "count"), (BatchCursor(10, 2, 5), "batch_size")):
        with pytest.raises(ConfigError, match=name):
            other.restore(state)


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch_size 4 is not in 1\.\.3"):
        BatchCursor(3, 4, seed=0)
