"""The tool that builds the embedded data set, on packages of a few drawings."""

import io
import json
import runpy
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from image_files import encoded
from PIL import Image

from gigatok.data.emoji import verify_checksum
from gigatok.data.images import decode_rgb

TOOL = str(Path(__file__).parents[2] / "tools" / "build_emoji_dataset.py")


def entry(unified: str, order: int, category: str = "Symbols", subcategory: str = "sign") -> dict[str, object]:
    """One emoji of ``emoji.json``."""
    return {
        "unified": unified,
        "name": f"NAME {order}",
        "category": category,
        "subcategory": subcategory,
        "sort_order": order,
        "skin_variations": {"1F3FB": {"unified": f"{unified}-1F3FB"}},
    }


def package(path: Path, files: dict[str, bytes]) -> Path:
    """A packed npm package."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def drawing(shade: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """A grey right half, a transparent left half."""
    picture = Image.new("RGBA", size, (shade, shade, shade, 255))
    picture.paste((0, 0, 0, 0), (0, 0, size[0] // 2, size[1]))
    return encoded(picture)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data set of two emoji and a component."""
    catalogue = [
        entry("1F600", 2),
        entry("26A7-FE0F", 1),
        entry("1F1E6-1F1E8", 3, "Flags", "country-flag"),
        entry("1F3FB", 4, "Component"),
    ]
    names = ["1f600", "26a7-fe0f", "1f1e6-1f1e8", "1f3fb", "1f600-1f3fb"]
    google = package(
        tmp_path / "google.tgz",
        {"emoji.json": json.dumps(catalogue).encode()}
        | {f"img/google/64/{name}.png": drawing(10) for name in names}
        | {"img/google/sheets/64.png": drawing(99)},
    )
    twitter = package(tmp_path / "twitter.tgz", {f"img/twitter/64/{name}.png": drawing(20) for name in names})
    fluent = package(
        tmp_path / "fluent.tgz",
        {
            "assets/26a7.webp": drawing(66, (256, 256)),
            "assets/26a7-fe0f.webp": drawing(30, (256, 256)),
            "assets/1f1e6-1f1e8.webp": drawing(30, (256, 320)),
        },
    )
    out = tmp_path / "out" / "emoji64.parquet"
    arguments = ["--google", google, "--twitter", twitter, "--fluent", fluent, "--out", out]
    monkeypatch.setattr(sys, "argv", [TOOL, *map(str, arguments)])
    runpy.run_path(TOOL, run_name="__main__")
    return out


def test_rows_are_base_emoji_by_designer_in_unicode_order(built: Path) -> None:
    rows = pq.read_table(built).drop(["image"]).to_pylist()
    assert [(row["designer"], row["codepoints"]) for row in rows] == [
        (designer, points)
        for designer, drawn in {
            "google": ["26a7-fe0f", "1f600", "1f1e6-1f1e8"],
            "twitter": ["26a7-fe0f", "1f600", "1f1e6-1f1e8"],
            "fluent": ["26a7-fe0f", "1f1e6-1f1e8"],
        }.items()
        for points in drawn
    ]
    assert rows[-1] == {
        "label": "Flags",
        "subgroup": "country-flag",
        "name": "name 3",
        "codepoints": "1f1e6-1f1e8",
        "designer": "fluent",
        "license": "MIT AND Apache-2.0",
    }


def test_drawings_are_laid_on_white_and_reduced_without_loss(built: Path) -> None:
    table = pq.read_table(built)
    google, fluent, tall = (
        np.asarray(decode_rgb(table["image"][row].as_py(), "x"))[:, :, 0].astype(int) for row in (0, 6, 7)
    )
    assert google.shape == fluent.shape == tall.shape == (64, 64)
    assert set(google[:, :32].ravel()) == {255}
    assert set(google[:, 32:].ravel()) == {10}
    # The fully qualified spelling (30), not the other one (66).
    assert fluent[32, 60] == 30
    # 256x320 in a white square of 320: 6.4 px of white left and right, grey from 32 to 57.6.
    assert tall[32, [2, 20, 40, 45, 61]].tolist() == [255, 255, 30, 30, 255]
    assert tall[[0, 63], 45].tolist() == [30, 30]


def test_a_rebuild_has_equal_bytes_and_a_valid_checksum(built: Path) -> None:
    first = built.read_bytes()
    assert verify_checksum(built)
    runpy.run_path(TOOL, run_name="__main__")
    assert built.read_bytes() == first


def test_help_says_how_to_get_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [TOOL, "--help"])
    with pytest.raises(SystemExit):
        runpy.run_path(TOOL, run_name="__main__")
    assert "npm pack @lobehub/fluent-emoji-3d@1.1.0" in capsys.readouterr().out
