"""Code counts by what it does, for the modules that a program can reach."""

from __future__ import annotations

from pathlib import Path

import pytest

import gigatok
from gigatok.artifacts import code_fingerprint, module_meanings
from gigatok.artifacts.code import code_meaning
from gigatok.config import GigatokError

MODULE = b'''"""A module."""
import math
WIDTH = 4
"""Its width."""
def area(side, *, scale=None):
    """Squares."""
    return side**2 * (scale or "x")  # a comment
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"  # a comment", b""),
        (b'"""A module."""', b'"""Another text."""'),
        (b'    """Squares."""\n', b""),
        (b'"""Its width."""\n', b"\n\n"),
        (b"side, *, scale=None", b"\n    side,\n    *,\n    scale=None,\n"),
        (b'scale or "x"', b"scale or 'x'"),
        (b"side**2 * (scale", b"(side ** 2) * (scale"),
        (b"scale=None", b"scale = None"),
    ],
)
def test_comments_docstrings_and_formatting_mean_nothing(before: bytes, after: bytes) -> None:
    assert before in MODULE
    assert code_meaning(MODULE.replace(before, after)) == code_meaning(MODULE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"WIDTH = 4", b"WIDTH = 5"),
        (b"WIDTH = 4", b"WIDTH = 4.0"),
        (b"side**2", b"side*2"),
        (b"scale=None", b"scale=0"),
        (b'"x"', b'b"x"'),
        (b"import math", b"import cmath"),
        (b"*, scale", b"scale"),
        (b"def area", b"def Area"),
    ],
)
def test_what_a_program_does_means_something(before: bytes, after: bytes) -> None:
    assert before in MODULE
    assert code_meaning(MODULE.replace(before, after)) != code_meaning(MODULE)


def test_only_what_a_run_can_reach_counts() -> None:
    tokenizer = module_meanings(["gigatok.training.train_tokenizer"], ["gigatok"])
    generator = module_meanings(["gigatok.training.train_generator"], ["gigatok"])
    assert {"gigatok.losses.alignment", "gigatok.teachers.vit", "gigatok.models.quantizer"} <= set(tokenizer)
    assert not {name for name in generator if ".losses" in name or ".teachers" in name or "discriminator" in name}
    for found in (tokenizer, generator):
        assert "gigatok.models.sizes" not in found  # beside them in the package, and named by nobody
        assert not {name for name in found if name.startswith(("gigatok.evaluation", "gigatok.paper", "gigatok.cli"))}
    assert not {
        name for name in module_meanings(["gigatok.training.session"], ["gigatok.artifacts"]) if "artif" in name
    }


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in the place of ours, with a way to each module."""
    files = {
        "__init__.py": '__version__ = "1"',
        "one/__init__.py": '"""Hands on."""\nfrom gigatok.one.a import first\nfrom gigatok.one.b import second',
        "one/a.py": "from gigatok import two\ndef first():\n  from gigatok.three import late\n  return late, two.deep",
        "one/b.py": "second = 1",
        "two/__init__.py": "deep = 1",
        "three.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n  from gigatok.one.b import second\nlate = 2",
        "lazy/__init__.py": "def __getattr__(name):\n    return name",
        "lazy/c.py": "c = 3",
        "start.py": "from gigatok.one import first",
        "vague.py": "from gigatok.lazy import whatever",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(gigatok, "__file__", str(tmp_path / "__init__.py"))
    return tmp_path


def test_names_are_followed_to_where_they_are_defined(package: Path) -> None:
    found = set(module_meanings(["gigatok.start"], ["gigatok"]))
    assert found == {"gigatok.one.a", "gigatok.three", "gigatok.two"}
    assert set(module_meanings(["gigatok.vague"], ["gigatok"])) == {"gigatok.lazy", "gigatok.lazy.c"}
    assert set(module_meanings(["gigatok.start"], ["gigatok", "gigatok.one"])) == set()
    with pytest.raises(GigatokError, match=r"gigatok.absent is no module"):
        module_meanings(["gigatok.absent"])


def test_the_fingerprint_follows_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("one", "two"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "code.py").write_text("x = 1")
    monkeypatch.setattr(gigatok, "__file__", str(tmp_path / "__init__.py"))
    before = code_fingerprint(["one", "two"])
    one = code_fingerprint(["one"])
    (tmp_path / "two" / "notes.txt").write_text("not code")
    assert code_fingerprint(["two", "one"]) == before
    (tmp_path / "two" / "code.py").write_text("x = 2")
    assert code_fingerprint(["one", "two"]) != before
    assert code_fingerprint(["one"]) == one
    with pytest.raises(GigatokError, match="no sub-package"):
        code_fingerprint(["three"])
