"""Grids: enlarged exactly, grouped by class, honest where nothing was run."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import CLASSES, fake_params, pictures, write_core, write_tokenizer
from PIL import Image

from gigatok.paper.figures.picture_grids import pick, upscale, write_reconstructions, write_rung, write_samples
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return series_rows(Results(runs, fake_params()))


def test_upscaling_keeps_every_pixel():
    image = pictures(1)[0]
    shown = np.asarray(upscale(image))
    assert shown.shape == (96, 96, 3)
    assert (shown[::3, ::3] == image).all()
    assert (shown[2::3, 1::3] == image).all()


def test_large_images_stay_as_they_are():
    assert upscale(np.zeros((256, 256, 3), np.uint8)).size == (256, 256)


def test_pick_spreads_evenly():
    assert pick(range(1000), 3) == [0, 500, 999]
    assert pick([1, 2], 3) == [1, 2]


def test_reconstructions_have_a_row_for_each_tokenizer_the_originals_and_kmeans(core, tmp_path):
    write_reconstructions(core, fake_params(), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        shown = np.asarray(image.convert("RGB"))
    assert shown.shape[0] == 20 + (len(core) + 2) * 102 - 6
    originals = pictures(16)
    first = shown[10:106:3, 10 + 132 : 10 + 132 + 96 : 3]
    assert (first == originals[0]).all()
    last = shown[-106:-10:3, 10 + 132 : 10 + 132 + 96 : 3]
    assert (last == originals[0] // 32 * 32).all()


def test_samples_stand_under_their_class(core, tmp_path):
    write_samples(core[:2], fake_params(), CLASSES, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        shown = np.asarray(image.convert("RGB"))
    x = 10 + 132 + 4 * 102
    assert (shown[44 : 44 + 96 : 3, x : x + 96 : 3] == pictures(36)[4]).all()


def test_missing_runs_get_words_not_pictures(tmp_path):
    params = fake_params()
    nothing = series_rows(Results(tmp_path, params))
    for number, write in enumerate((write_reconstructions, lambda r, p, f: write_samples(r, p, CLASSES, f))):
        write(nothing, params, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").exists()
    write_tokenizer(tmp_path, "S-S", rfid=60, psnr=17)
    some = series_rows(Results(tmp_path, params))
    write_reconstructions(some, params, tmp_path / "some.png")
    write_rung(some[0], params, CLASSES, tmp_path / "half.png")
    write_rung(some[1], params, CLASSES, tmp_path / "none.png")
    with Image.open(tmp_path / "none.png") as image:
        assert image.height < 100
    with Image.open(tmp_path / "half.png") as image:
        assert image.height > 800


def test_equal_runs_give_equal_files(core, tmp_path):
    for name in ("a.png", "b.png"):
        write_rung(core[0], fake_params(), CLASSES, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
