"""Grids: enlarged exactly, grouped by class, honest where nothing was run."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runs import CLASSES, fake_params, pictures, write_core, write_tokenizer
from sheets import overlapping, shown, tile_at, tiles

from gigatok.paper.figures.drawing.sheet import FULL, MARGIN, enlarged, font
from gigatok.paper.figures.picture_grids import (
    LABEL,
    Line,
    columns_for,
    grid,
    pick,
    write_reconstructions,
    write_rung,
    write_samples,
)
from gigatok.paper.figures.style import DPI, SMALLEST
from gigatok.paper.results.reader import Results
from gigatok.paper.tables.scaling_rows import series_rows


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    runs = tmp_path_factory.mktemp("core")
    write_core(runs)
    return series_rows(Results(runs, fake_params()))


def test_enlarging_keeps_every_pixel():
    image = pictures(1)[0]
    large = np.asarray(enlarged(image, 100))
    assert large.shape == (96, 96, 3)
    assert (large[::3, ::3] == image).all()
    assert (large[2::3, 1::3] == image).all()


def test_large_images_stay_as_they_are():
    assert enlarged(np.zeros((256, 256, 3), np.uint8), 192).size == (256, 256)
    assert columns_for(np.zeros((9, 256, 256, 3), np.uint8), FULL) == 7


@pytest.mark.parametrize("side", [16, 32, 64, 256])
def test_sheets_of_any_image_size_overprint_nothing_and_end_inside(side, tmp_path, sheets):
    images = np.zeros((12, side, side, 3), np.uint8)
    names = ["originals", "a-tokenizer-with-a-name-that-is-far-too-long\nPSNR 18.93 dB", "旗"]
    count = columns_for(images, FULL - 2 * MARGIN - LABEL)
    lines = [Line(name, list(images[:count]), "#000000") for name in names]
    heads = ["a class with a name that goes on and on"] * count
    grid([*lines, Line("S-S", "not run: " + "command " * 40)], heads, note="A note. " * 40).write(tmp_path / "a.png")
    assert overlapping(sheets["a.png"]) == []
    assert min(edge for each in sheets["a.png"] for edge in each.box) >= 0
    assert max(each.box[2] for each in sheets["a.png"]) <= FULL - MARGIN + 2
    shown(tmp_path / "a.png")


def test_a_class_above_a_small_tile_has_its_whole_name_where_there_is_room(tmp_path, sheets):
    heads = ["Activities", "Animals & Nature", "Flags", "Food & Drink", "Objects", "People & Body"]
    heads += ["Smileys & Emotion", "Symbols", "Travel & Places"]
    images = list(np.zeros((len(heads), 64, 64, 3), np.uint8))
    grid([Line("S-S", images)], heads).write(tmp_path / "a.png")
    assert [each.text.replace("\n", " ") for each in sheets["a.png"] if each.text][: len(heads)] == heads
    assert overlapping(sheets["a.png"]) == []


def test_text_on_sheets_is_as_large_as_in_plots():
    assert font(SMALLEST).size == round(SMALLEST * DPI / 72)


def test_pick_spreads_evenly():
    assert pick(range(1000), 3) == [0, 500, 999]
    assert pick([1, 2], 3) == [1, 2]


def test_reconstructions_have_a_row_for_each_tokenizer_the_originals_and_kmeans(core, tmp_path, sheets):
    write_reconstructions(core, fake_params(), tmp_path / "a.png")
    sheet, found = shown(tmp_path / "a.png"), tiles(sheets["a.png"])
    count = fake_params().report.example_rows
    assert len(found) == (len(core) + 2) * count
    originals = pictures(16)
    assert (tile_at(sheet, found[0]) == originals[0]).all()
    assert (tile_at(sheet, found[-count]) == originals[0] // 32 * 32).all()
    assert [each.text.split("\n")[0] for each in sheets["a.png"] if each.what == "text"] == [
        "originals",
        *(row.tokenizer for row in core),
        "k-means patches",
        "Proxy scale: profile nano.",
    ]
    assert overlapping(sheets["a.png"]) == []


def test_samples_stand_under_their_class(core, tmp_path, sheets):
    write_samples(core[:2], fake_params(), CLASSES, tmp_path / "a.png")
    sheet, placed = shown(tmp_path / "a.png"), sheets["a.png"]
    head = next(each for each in placed if each.text.replace("\n", " ").startswith("Travel"))
    box = tiles(placed)[4]
    assert abs(head.box[0] - box[0]) < 8
    assert head.box[3] < box[1]
    assert (tile_at(sheet, box) == pictures(36)[4]).all()
    assert overlapping(placed) == []


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
    assert len(shown(tmp_path / "none.png")) < 100
    assert len(shown(tmp_path / "half.png")) > 700


def test_equal_runs_give_equal_files(core, tmp_path):
    for name in ("a.png", "b.png"):
        write_rung(core[0], fake_params(), CLASSES, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
