from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gigatok.config import GigatokError
from gigatok.tracking.mlflow.pictures import draw


def test_reconstructions_stand_below_their_originals(tmp_path: Path) -> None:
    originals = np.zeros((18, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "pictures.npz", originals=originals, reconstructions=originals + 100, labels=np.arange(18))
    draw(tmp_path / "pictures.npz", tmp_path / "x.png")
    image = np.asarray(Image.open(tmp_path / "x.png"))
    assert image.shape == (4 * 34 * 2, 16 * 34 * 2, 3)
    assert [int(image[row * 68 + 10, 10, 0]) for row in range(4)] == [0, 100, 0, 100]
    assert image[-20, -20].tolist() == [255, 255, 255]  # the last row has two images


def test_samples_stand_in_rows_of_their_class(tmp_path: Path) -> None:
    classes = np.array([1, 0, 1, 0, 2])
    samples = np.broadcast_to(classes[:, None, None, None] * 50, (5, 64, 64, 3)).astype(np.uint8)
    np.savez(tmp_path / "samples.npz", samples=samples, classes=classes)
    draw(tmp_path / "samples.npz", tmp_path / "x.png")
    image = np.asarray(Image.open(tmp_path / "x.png"))
    assert image.shape == (3 * 66, 2 * 66, 3)
    assert [int(image[row * 66 + 5, 5, 0]) for row in range(3)] == [0, 50, 100]


def test_a_file_of_another_kind_is_not_drawn(tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.zeros(3))
    with pytest.raises(GigatokError, match="does not hold samples"):
        draw(tmp_path / "samples.npz", tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()
