"""``gigatok-bench shards``."""

from __future__ import annotations

from pathlib import Path

from cli_harness import Command
from image_files import BASE, image_folder, section

from gigatok.data import prepare


def test_a_folder_becomes_shards_that_prepare_reads(command: Command, tmp_path: Path) -> None:
    folder, out = image_folder(tmp_path / "in", {"a": 5, "b": 4}), tmp_path / "out"
    (folder / "a" / "notes.txt").write_text("x")
    ended = command("shards", str(folder), str(out), "--per-shard", "4", "--workers", "2")
    assert (ended.status, ended.err.splitlines()) == (
        0,
        ["1 of 3 shards", "2 of 3 shards", "3 of 3 shards", "9 images taken, 1 left out: extension .txt 1"],
    )
    size = sum(path.stat().st_size for path in out.glob("*.tar"))
    assert ended.out == f"9 images of 2 classes in 3 shards, {size} bytes\n"
    summary = prepare(section(out, source="shards"), BASE, tmp_path / "prepared")
    assert summary.train.images + summary.validation.images == 9


def test_mistakes_are_one_line(command: Command, tmp_path: Path) -> None:
    for arguments, message in (
        ((str(tmp_path / "no"), str(tmp_path / "out")), "is not a folder"),
        (
            (str(tmp_path), str(tmp_path / "out"), "--source", "zip"),
            "--source 'zip' is not one of imagefolder, parquet",
        ),
    ):
        ended = command("shards", *arguments)
        assert ended.status in (1, 2)
        assert ended.out == ""
        assert message in ended.err
        assert len(ended.err.splitlines()) == 1
