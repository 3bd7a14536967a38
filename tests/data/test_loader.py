from pathlib import Path

import pytest
import torch
from image_files import BASE, image_folder, section

from gigatok.config import ConfigError, GigatokError
from gigatok.data import BatchCursor, BatchLoader, CorruptImageError, ImageSet, PreparedData, Share, prepare
from gigatok.data import loader as loader_module


def images_of(tmp_path: Path, augmentation: str = "crop-flip", count: int = 12) -> ImageSet:
    """Training images of ``count`` pictures."""
    root = image_folder(tmp_path / "in", {"a": count})
    prepare(section(root, augmentation=augmentation), BASE, tmp_path / "out")
    return PreparedData.open(tmp_path / "out").train


def take(loader: BatchLoader, count: int) -> list[tuple[list[int], torch.Tensor]]:
    """The next ``count`` batches."""
    return [(batch.rows.tolist(), batch.pixels) for batch in (loader.next() for _ in range(count))]


def equal(one: list[tuple[list[int], torch.Tensor]], two: list[tuple[list[int], torch.Tensor]]) -> bool:
    """Whether two sequences of batches are the same."""
    return all(a[0] == b[0] and torch.equal(a[1], b[1]) for a, b in zip(one, two, strict=True))


def test_workers_change_nothing_but_speed_and_a_restored_loader_goes_on(tmp_path: Path) -> None:
    images = images_of(tmp_path)
    whole = take(BatchLoader(images, BatchCursor(len(images), 3, seed=0)), 8)
    before = torch.random.get_rng_state()
    with BatchLoader(images, BatchCursor(len(images), 3, seed=0), workers=1) as loader:
        assert equal(take(loader, 4), whole[:4])
        state = loader.state()  # two more batches are already on their way
        take(loader, 2)
        loader.restore(state)
        assert equal(take(loader, 2), whole[4:6])
    assert torch.equal(torch.random.get_rng_state(), before)
    resumed = BatchLoader(images, BatchCursor(len(images), 3, seed=0))
    resumed.restore(state)
    assert equal(take(resumed, 4), whole[4:])


def test_an_image_is_cropped_anew_on_every_visit(tmp_path: Path) -> None:
    images = images_of(tmp_path, count=2)
    assert len(images) == 1
    loader = BatchLoader(images, BatchCursor(1, 1, seed=0))
    visits = {pixels.numpy().tobytes() for _, pixels in take(loader, 10)}
    assert len(visits) > 5  # few crops of so small a picture differ


def test_packed_images_are_only_copied(tmp_path: Path) -> None:
    images = images_of(tmp_path, augmentation="none")
    loader = BatchLoader(images, BatchCursor(len(images), 3, seed=0), workers=2)
    batch = loader.next()
    assert torch.equal(batch.pixels, images.batch(batch.rows))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_image_is_named(tmp_path: Path, workers: int) -> None:
    images = images_of(tmp_path)
    victim = tmp_path / "in" / "a" / "1.png"
    victim.write_bytes(b"")
    with (
        BatchLoader(images, BatchCursor(len(images), len(images), seed=0), workers=workers) as loader,
        pytest.raises(CorruptImageError, match=r"a/1\.png"),
    ):
        loader.next()


def test_a_worker_hands_over_what_the_disk_did_not_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of(tmp_path)

    def fail(location: str) -> bytes:
        raise GigatokError(f"image {location} could not be read in 4 attempts")

    monkeypatch.setattr(images, "_reader", fail)
    found = loader_module._Crops(images)[(0, 1)]
    assert isinstance(found, GigatokError)
    assert loader_module._stack([found, found]) is found


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batches_of_one(tmp_path: Path, augmentation: str, world: int) -> None:
    """The same rows with the same crops, each on one process; joined they are the batch of a single one."""
    images = images_of(tmp_path, augmentation, count=16)

    def loader(share: Share) -> BatchLoader:
        return BatchLoader(images, BatchCursor(len(images), 4, seed=3), share=share)

    whole = take(loader(Share()), 5)
    shared = [take(loader(Share(rank, world)), 5) for rank in range(world)]
    for number, (rows, pixels) in enumerate(whole):
        assert [row for batches in shared for row in batches[number][0]] == rows
        assert torch.equal(torch.cat([batches[number][1] for batches in shared]), pixels)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 4), (4, 2)])
@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_another_number_of_processes_goes_on_with_the_same_images(
    tmp_path: Path, augmentation: str, before: int, after: int
) -> None:
    """From the middle of the first epoch into the second, as a state that is saved then goes on."""
    images = images_of(tmp_path, augmentation, count=24)

    def loader(share: Share) -> BatchLoader:
        return BatchLoader(images, BatchCursor(len(images), 4, seed=3), share=share)

    assert 2 < len(images) // 4 < 8
    whole = take(loader(Share()), 8)
    stopped = [loader(Share(rank, before)) for rank in range(before)]
    for each in stopped:
        take(each, 2)
    states = [each.state() for each in stopped]
    assert states == [states[0]] * before
    resumed = [loader(Share(rank, after)) for rank in range(after)]
    for each in resumed:
        each.restore(states[0])
    shared = [take(each, 6) for each in resumed]
    for number, (rows, pixels) in enumerate(whole[2:]):
        assert [row for batches in shared for row in batches[number][0]] == rows
        assert torch.equal(torch.cat([batches[number][1] for batches in shared]), pixels)


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 6 is not a multiple of the 4 processes"):
        Share(0, 4).of(6)
