"""Worst reconstructions: original above reconstruction, and what names the picture."""

from __future__ import annotations

import numpy as np
from fake_runs import CLASSES, fake_params, pictures, write_core, write_tokenizer
from PIL import Image

from gigatok.paper.figures import failures
from gigatok.paper.figures.failures import image_names, write_failures
from gigatok.paper.results.reader import Results


def shown(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_every_rung_shows_its_worst_pairs(tmp_path):
    write_core(tmp_path / "runs")
    drawn = write_failures(Results(tmp_path / "runs", fake_params()), tmp_path / "failures.png")
    sheet = shown(drawn.file)
    left, step = 10 + 96, 102
    for place, name in enumerate(("S-S", "S-B", "B-L", "L-XL", "XL-XXL")):
        with np.load(tmp_path / "runs" / "tokenizers" / name / "pictures.npz") as kept:
            pair = kept["worst_originals"][3], kept["worst_reconstructions"][3]
        top = 10 + place * (2 * step + 60 + 12)
        for line, expected in enumerate(pair):
            x, y = left + 3 * step, top + line * step
            assert (sheet[y : y + 96 : 3, x : x + 96 : 3] == expected).all()
    assert len(drawn.scores) == 5


def test_value_and_name_stand_below(tmp_path, monkeypatch):
    texts = []
    draw = failures.ImageDraw.Draw

    def listening(image):
        canvas = draw(image)
        plain = canvas.text
        monkeypatch.setattr(
            canvas, "text", lambda at, text, *rest, **more: (texts.append(text), plain(at, text, *rest))
        )
        return canvas

    monkeypatch.setattr(failures.ImageDraw, "Draw", listening)
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=18)
    write_failures(Results(tmp_path, fake_params()), tmp_path / "failures.png")
    assert texts[2:5] == ["10.00 dB", "grinning face", "google"]
    assert "S-B: not run: gigatok-bench scaling --sizes b" in texts


def test_names_of_emoji_and_of_other_sources():
    assert image_names([0], [6], fake_params(), CLASSES) == [("grinning face", "google")]
    other = fake_params(prepare={"image_size": 32, "source": "imagefolder", "path": "photos"})
    assert image_names([5, 7], [1, 40], other, CLASSES) == [("People & Body", "image 5"), ("class 40", "image 7")]


def test_runs_from_before_say_how_to_get_them(tmp_path):
    write_tokenizer(tmp_path, "S-S", rfid=70, psnr=18)
    np.savez(tmp_path / "tokenizers" / "S-S" / "pictures.npz", originals=pictures(2), reconstructions=pictures(2))
    drawn = write_failures(Results(tmp_path, fake_params()), tmp_path / "failures.png")
    assert drawn.scores == ()
    assert shown(drawn.file).shape[0] == 5 * 34 + 20


def test_a_perfect_picture_has_no_decibels():
    assert failures._decibels(np.inf) == "exact"
