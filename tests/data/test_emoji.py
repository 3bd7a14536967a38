"""The embedded data set as it is shipped."""

import io
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from image_files import BASE, section
from PIL import Image

from gigatok.config import GigatokError
from gigatok.data import emoji, open_source
from gigatok.data.emoji import find_emoji, normalize_codepoints, open_emoji, verify_checksum
from gigatok.data.split import split_concepts

GROUPS = [
    "Activities",
    "Animals & Nature",
    "Flags",
    "Food & Drink",
    "Objects",
    "People & Body",
    "Smileys & Emotion",
    "Symbols",
    "Travel & Places",
]
SKIN_TONES = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff"}


def test_three_designers_draw_the_base_emoji() -> None:
    table = pq.read_table(find_emoji())
    assert table.column_names == ["image", "label", "subgroup", "name", "codepoints", "designer", "license"]
    assert Counter(table["designer"].to_pylist()) == {"google": 1906, "twitter": 1906, "fluent": 1852}
    assert sorted(set(table["label"].to_pylist())) == GROUPS
    assert not any(SKIN_TONES & set(points.split("-")) for points in table["codepoints"].to_pylist())
    pairs = list(zip(table["designer"].to_pylist(), table["codepoints"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    licences = defaultdict(set)
    for designer, licence in zip(table["designer"].to_pylist(), table["license"].to_pylist(), strict=True):
        licences[designer].add(licence)
    assert licences == {"google": {"Apache-2.0"}, "twitter": {"CC-BY-4.0"}, "fluent": {"MIT", "MIT AND Apache-2.0"}}


def test_pictures_are_64_px_rgb_in_lossless_webp() -> None:
    for data in pq.read_table(find_emoji(), columns=["image"])["image"].to_pylist()[::400]:
        with Image.open(io.BytesIO(data)) as picture:
            assert (picture.size, picture.mode, picture.format) == ((64, 64), "RGB", "WEBP")
        assert data[12:16] == b"VP8L"


def test_all_drawings_of_an_emoji_fall_on_one_side() -> None:
    source = open_emoji()
    sides = split_concepts(source.records, 0.1, BASE.seed)
    per_label: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for label, concept in {(record.label, record.concept) for record in source.records}:
        per_label[label][sides[concept]] += 1
    assert Counter(Counter(record.concept for record in source.records).values()) == {3: 1852, 2: 54}
    for counts in per_label.values():
        assert counts["validation"] == round(0.1 * counts.total())


def test_spellings_of_an_emoji_are_one_concept() -> None:
    assert normalize_codepoints("1F3F3-FE0F-200D-26A7-FE0F") == normalize_codepoints("1f3f3-200d-26a7")
    assert normalize_codepoints("26a7") != normalize_codepoints("26a8")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "emoji64.parquet"
    path.write_bytes(find_emoji().read_bytes())
    (tmp_path / "SHA256").write_text((find_emoji().parent / "SHA256").read_text())
    assert len(verify_checksum(path)) == 64
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")
    with pytest.raises(GigatokError, match="the file is damaged, restore it"):
        verify_checksum(path)
    (tmp_path / "SHA256").unlink()
    with pytest.raises(GigatokError, match=r"has no sum of emoji64\.parquet"):
        verify_checksum(path)


def test_a_missing_file_says_how_to_get_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoji, "EMOJI_PATH", "data/emoji/absent.parquet")
    with pytest.raises(GigatokError, match="git checkout"):
        open_emoji()


def test_the_file_is_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pq.read_table(find_emoji())["image"][7].as_py()
    monkeypatch.chdir(tmp_path)
    source = open_emoji()
    assert source.reader(source.records[7].location) == expected
    # Not the absolute path: an index made in one clone must equal that of another.
    assert source.records[7].location == "data/emoji/emoji64.parquet#7"


def test_emoji_take_no_path() -> None:
    with pytest.raises(GigatokError, match=r"prepare\.path 'x' has no meaning with source 'emoji'"):
        open_source(section(Path("x"), source="emoji"))
