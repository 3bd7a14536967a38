from pathlib import Path

import numpy as np
from PIL import Image

from gigatok.artifacts.picture_grid import paired_rows, picture_grid, rows_of, save_picture


def _images(count: int, first: int = 0) -> np.ndarray:
    """Each image has its number as colour."""
    return np.arange(first, first + count, dtype=np.uint8)[:, None, None, None].repeat(2, 1).repeat(3, 2).repeat(3, 3)


def test_a_grid_has_one_place_an_image_and_white_elsewhere() -> None:
    grid = picture_grid(rows_of(_images(5), 3), gap=1, factor=2)
    assert grid.shape == (2 * 3 * 2, 3 * 4 * 2, 3)
    places = grid[::6, ::8, 0]
    assert places.tolist() == [[0, 1, 2], [3, 4, 255]]
    assert (grid[4:6] == 255).all()  # the gap below the first row
    assert (grid[:, 6:8] == 255).all()


def test_partners_stand_below_each_other() -> None:
    rows = paired_rows(_images(3), _images(3, 100), 2)
    assert [[int(image[0, 0, 0]) for image in row] for row in rows] == [[0, 1], [100, 101], [2], [102]]


def test_the_file_has_the_pixels(tmp_path: Path) -> None:
    grid = picture_grid(rows_of(_images(4), 2))
    save_picture(tmp_path / "x.png", grid)
    assert (np.asarray(Image.open(tmp_path / "x.png")) == grid).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
