"""``gigatok-bench shards``."""

from __future__ import annotations

import json
from pathlib import Path

from cli_harness import Command
from image_files import BASE, image_folder, section

from gigatok.artifacts import file_sha256
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


def test_json_is_one_document_with_hashes(command: Command, tmp_path: Path) -> None:
    folder, out = image_folder(tmp_path / "in", {"a": 5, "b": 4}), tmp_path / "out"
    ended = command("shards", str(folder), str(out), "--per-shard", "4", "--workers", "1", "--json")
    document = json.loads(ended.out)
    assert (document["output"], document["images"], len(document["shards"])) == (str(out), 9, 3)
    first = document["shards"][0]
    assert first["sha256"] == file_sha256(out / first["name"])
