"""The content-addressed store: nothing is computed twice, nothing stale is found, kills cost one part."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gigatok.evaluation.extractors.base import Extractor
from gigatok.evaluation.store.features import cached_features
from gigatok.evaluation.store.parts import PartStore


def _images(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_a_second_pass_reads_equal_features_and_computes_none(tiny: Extractor, tmp_path: Path) -> None:
    first = cached_features(tiny, _images(), tmp_path)
    again = cached_features(tiny, _images(), tmp_path, batch_size=4)
    assert tiny.network.seen == 6
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.pool, tiny.extract(_images()).pool)


def test_any_change_of_what_matters_is_another_entry(tiny: Extractor, tmp_path: Path) -> None:
    cached_features(tiny, _images(), tmp_path)
    changed = _images()
    changed[3, 2, 2, 1] ^= 1
    for extractor, images in (
        (tiny, changed),
        (replace(tiny, sha256="1" * 64), _images()),
        (replace(tiny, resize=replace(tiny.resize, antialias=False)), _images()),
    ):
        before = tiny.network.seen
        cached_features(extractor, images, tmp_path)
        assert tiny.network.seen == before + 6


def test_a_kill_keeps_finished_parts(tmp_path: Path) -> None:
    produced: list[tuple[int, int]] = []

    def produce(start: int, stop: int) -> dict[str, np.ndarray]:
        if start == 8 and len(produced) == 2:
            produced.append((-1, -1))
            raise KeyboardInterrupt
        produced.append((start, stop))
        return {"x": np.arange(start, stop) ** 2}

    store = PartStore(tmp_path, {"kind": "test"})
    with pytest.raises(KeyboardInterrupt):
        store.collect(10, produce, part=4)
    assert not store.complete(10, part=4)
    assert store.stored() is None
    arrays = PartStore(tmp_path, {"kind": "test"}).collect(10, produce, part=4)
    assert produced == [(0, 4), (4, 8), (-1, -1), (8, 10)]
    np.testing.assert_array_equal(arrays["x"], np.arange(10) ** 2)
    assert store.complete(10, part=4)
    stored = store.stored()
    assert stored is not None
    np.testing.assert_array_equal(stored["x"], np.arange(10) ** 2)


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_part_is_said_and_made_again(tmp_path: Path, damage: str) -> None:
    store = PartStore(tmp_path, {"kind": "torn"})
    produce = lambda start, stop: {"x": np.arange(start, stop)}  # noqa: E731
    store.collect(4, produce, part=2)
    part = next(store.folder.glob("000000002*"))
    content = part.read_bytes()
    if damage == "other":  # as earlier versions wrote it, without a hash
        save_file({"x": np.array([7, 8])}, part)
    else:
        part.write_bytes(content[:-3] if damage == "cut" else content[:-8] + b"\1" + content[-7:])
    with pytest.warns(UserWarning, match=f"{part.name} is damaged: it is computed again"):
        assert store.stored() is None
    with pytest.warns(UserWarning, match="computed again"):
        arrays = store.collect(4, produce, part=2)
    np.testing.assert_array_equal(arrays["x"], np.arange(4))
    assert part.read_bytes() == content
