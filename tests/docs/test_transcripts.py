"""Facts are known by their kind, and everything else by its words."""

from __future__ import annotations

from pathlib import Path

import pytest
from transcripts import Command, commands, rewritten, shown, width, words

PAGE = "Text.\n\n```console smoke\n$ a b\none 1.5\n$ c\ntwo\n```\n\n```console\n$ other\nx\n```\n"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("rFID 5250.8 [5005, 5496]", "rFID 842.91 [801, 1022]"),
        ("ended 2026-11-26 10:19, 0:03", "ended 2027-01-02 23:59, 1:12:40"),
        ("memory: 17.6 GB free", "memory: 3 GB free"),
        ("prepare  3-4 s", "prepare  1.2-2.5 min"),
        ("torch: 2.14.1 on CPU", "torch: 2.13.0+cpu on CPU"),
        ("2 cores, base.threads 1, 2 stages at one time", "64 cores, base.threads 1, 9 stages at one time"),
        ("psnr 8.199 ±0.27 8.235 ±1 unclear\nx", "psnr 9.1 ±12 8.2 ±0.2 differ\nx"),
        ("best: gFID 5062 with scale 1, constant", "best: gFID 47.5 with scale 1.75, linear"),
        ("commit 0e6b4da9a, x", "commit 5f9a25231, x"),
        ("S-S: m-5a1c6ccfb0514d98ab1cbd2fe7b39f61", "S-S: m-0123456789abcdef0123456789abcdef"),
    ],
)
def test_facts_are_compared_by_kind(one: str, other: str) -> None:
    assert words(one) == words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 finished", "11 finished"),
        ("a difference", "an equal one"),
        ("rFID 5250.8", "rFID n/a"),
        ("S-S-no-sem 0:03", "S-S 0:03"),
        ("deadbeef", "feedbeef"),  # words may consist of the letters of hexadecimal numbers
        ("a b c", "a b"),
    ],
)
def test_all_else_is_compared_as_it_is(one: str, other: str) -> None:
    assert words(one) != words(other)


def test_commands_and_pages() -> None:
    found = commands(PAGE, "console smoke")
    assert found == [("a b", "one 1.5\n"), ("c", "two\n")]
    assert commands(PAGE, "console") == [("other", "x\n")]
    assert rewritten(PAGE, "console smoke", [each.output for each in found]) == PAGE
    again = rewritten(PAGE, "console smoke", ["three\n", ""])
    assert commands(again, "console smoke") == [("a b", "three\n"), ("c", "")]
    assert again.endswith("```console\n$ other\nx\n```\n")


def test_what_is_called_and_what_is_kept_of_its_output() -> None:
    assert Command("gigatok-bench verify | tail -2", "").words == ["verify"]
    assert Command("gigatok-bench verify | tail -2", "").led("a\nb\nc\n") == "b\nc\n"
    assert Command("gigatok-bench verify | head -1", "").led("a\nb\nc\n") == "a\n"
    assert Command("gigatok-bench ui", "runs: x\n^C\n").interrupted
    assert not Command("gigatok-bench runs", "x\n").interrupted
    assert Command("git add --all", "").program == ["git"]
    assert Command("dvc params diff", "").program[1:] == ["-m", "dvc"]
    with pytest.raises(KeyError, match="rm"):
        _ = Command("rm -r runs", "").program
    assert width(f"a bc\n{'x' * 50} y\n") == len("a bc")
    assert shown("sqlite:////tmp/x/mlflow.db on 127.0.0.1:6001", Path("/tmp/x"), "6001") == (
        "sqlite:////home/you/gigatok-bench/mlflow.db on 127.0.0.1:5000"
    )
