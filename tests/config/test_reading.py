"""Text, JSON and YAML as files bring them: what is read as meant, and what is refused in one line."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from gigatok.config import ConfigError, GigatokError, load_params
from gigatok.config.base import printable
from gigatok.config.profiles import render
from gigatok.config.reading import parse_yaml, read_json, read_text, read_yaml, reason

LAUGHS = b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(
    f"{new}: &{new} [{','.join(['*' + old] * 10)}]\n".encode() for old, new in pairwise("abcdefg")
)
"""A few hundred bytes that mean ten million values."""


def test_settings_are_read_as_meant_whatever_wrote_the_file(tmp_path: Path) -> None:
    path, text = tmp_path / "params.yaml", render("smoke")
    path.write_text(text)
    expected = load_params(path)
    for content in (b"\xef\xbb\xbf" + text.encode(), text.replace("\n", "\r\n").encode()):
        path.write_bytes(content)
        assert load_params(path) == expected
    path.write_text(re.sub(r"learning_rate: [0-9.e+-]+", "learning_rate: 1e-4", text, count=1))
    assert load_params(path).train_tokenizer.optimizer.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# Größe\n".encode("latin-1"), r"is not UTF-8 \(byte 0xf6 in line 1\): save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"a: 1\na: 2\n", "key 'a' is in line 1 and again in line 2"),
        (b"{b: 1, c: 2, b: 3}", "key 'b' is in line 1 and again in line 1"),
        (b"a: 2001-13-45", "month must be in 1..12"),
        (b"a: !!timestamp x", "not valid YAML"),
        (b"a: !!bool maybe", "not valid YAML"),
        (b"a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        (b"a: \x00", "not valid YAML"),
        (b"[" * 5000, "not valid YAML"),
        (b"a: &a [*a]", "holds itself"),
        (LAUGHS, "more than 1000000 values"),
    ],
)
def test_yaml_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(tmp_path / "x.yaml", fix="write it")
    assert "\n" not in str(caught.value)


def test_merged_keys_may_be_overridden() -> None:
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n", "s") == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}


@pytest.mark.parametrize("content", ["", "- 1", "word"])
def test_settings_without_sections_say_how_to_write_them(tmp_path: Path, content: str) -> None:
    (tmp_path / "params.yaml").write_text(content)
    with pytest.raises(ConfigError, match="not sections: write it with 'gigatok-bench profile nano'"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' is there twice"),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b'{"a": -Infinity}', "-Infinity is no number of JSON"),
        (b"[" * 100_000, "recursion"),
        (b"9" * 10_000, "digits"),
        (b"\xff", "not UTF-8"),
        (b"", "Expecting value"),
    ],
)
def test_json_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(GigatokError, match=message):
        read_json(tmp_path / "x.json", fix="write it again")


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it for reading would wait for ever
    for name, message in {"pipe": "no regular file", "": "no regular file", "gone": "does not exist: make it"}.items():
        with pytest.raises(GigatokError, match=message):
            read_text(tmp_path / name, fix="mend it", missing="make it")
    with pytest.raises(GigatokError, match=r"\\x00"):
        read_text(f"{tmp_path}/a\0b", fix="mend it")


def test_an_error_is_one_line_that_a_terminal_does_not_obey() -> None:
    assert str(GigatokError("name \x1b[2J\nof \u202egnp.exe \udcff é")) == r"name \x1b[2J of \u202egnp.exe \udcff é"
    assert printable("plain") == "plain"


def test_reasons_are_the_same_in_every_process() -> None:
    assert reason(OSError("cannot identify <_io.BytesIO object at 0x7f8ee69536a0>")) == "cannot identify <_io.BytesIO>"
    assert reason(ValueError("")) == "ValueError"
    assert len(reason(ValueError("x" * 999))) == 200
