"""Worst reconstructions: original above reconstruction, and what names the picture."""

from __future__ import annotations

import numpy as np
from fake_runs import CLASSES, fake_params, pictures, write_core, write_tokenizer
from sheets import overlapping, shown, texts, tile_at, tiles

from gigatok.paper.figures import failures
from gigatok.paper.figures.failures import COLUMNS, image_names, write_failures
from gigatok.paper.results.reader import Results


def test_every_rung_shows_its_worst_pairs(tmp_path, sheets):
    write_core(tmp_path / "runs")
    drawn = write_failures(Results(tmp_path / "runs", fake_params()), tmp_path / "failures.png")
    sheet, found = shown(drawn.file), tiles(sheets["failures.png"])
    for place, name in enumerate(("S-S", "S-B", "B-L", "L-XL", "XL-XXL")):
        with np.load(tmp_path / "runs" / "tokenizers" / name / "pictures.npz") as kept:
            pair = kept["worst_originals"][3], kept["worst_reconstructions"][3]
        for line, expected in enumerate(pair):
            box = found[2 * COLUMNS * place + 2 * 3 + line]
            assert (tile_at(sheet, box) == expected).all()
    assert overlapping(sheets["failures.png"]) == []
    assert len(drawn.scores) == 5


def test_value_and_name_stand_below(tmp_path, sheets):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=18)
    write_failures(Results(tmp_path, fake_params()), tmp_path / "failures.png")
    found = texts(sheets["failures.png"])
    assert [each.replace("\n", " ") for each in found[2:5]] == ["10.00 dB", "grinning face", "google"]
    assert "S-B: not run: gigatok-bench scaling --sizes b" in found


def test_names_of_emoji_and_of_other_sources():
    assert image_names([0], [6], fake_params(), CLASSES) == [("grinning face", "google")]
    other = fake_params(prepare={"image_size": 32, "source": "imagefolder", "path": "photos"})
    assert image_names([5, 7], [1, 40], other, CLASSES) == [("People & Body", "image 5"), ("class 40", "image 7")]


def test_runs_from_before_say_how_to_get_them(tmp_path, sheets):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=18)
    np.savez(tmp_path / "tokenizers" / "S-S" / "pictures.npz", originals=pictures(2), reconstructions=pictures(2))
    drawn = write_failures(Results(tmp_path, fake_params()), tmp_path / "failures.png")
    assert drawn.scores == ()
    assert texts(sheets["failures.png"])[0] == "S-S: no worst pairs kept: dvc repro evaluate_tokenizer@S-S"
    assert tiles(sheets["failures.png"]) == []


def test_a_perfect_picture_has_no_decibels():
    assert failures._decibels(np.inf) == "exact"
