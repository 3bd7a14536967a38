"""What is wrong with the words of a command is said before torch is loaded, and with what helps."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.artifacts import file_sha256
from gigatok.cli.files.released import RELEASED_GENERATORS, RELEASED_TOKENIZERS
from gigatok.config.profiles import render
from gigatok.models import AR_MODELS, TOKENIZERS

_WATCHED = """
import contextlib, io, json, sys
from gigatok.cli import app
ended = []
for line in sys.argv[1:]:
    sys.argv = ["gigatok-bench", *line.split()]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app.main()
        except SystemExit as ending:
            status = ending.code
    ended.append((status, out.getvalue(), err.getvalue(), "torch" in sys.modules))
print(json.dumps(ended))
"""


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A project with one tokenizer and one generator, as far as their descriptions."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke"))
    for kind, model in (("tokenizers", {"image_size": 16}), ("generators", {"num_classes": 5})):
        folder = tmp_path / "runs" / kind / "S-S"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"kind": kind, "model": model, "sha256": "0" * 64}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "half.npz").write_bytes(b"PK")
    (tmp_path / "sheet.json").write_text(json.dumps({"schema": 1, "name": "a", "scores": []}))
    return tmp_path


_WRONG = (
    ("explain a b", "a does not exist: pass a score sheet"),
    ("explain sheet.json b", "b does not exist: pass a score sheet"),
    ("import-checkpoint x.pt --name foo", "--name 'foo'"),
    ("import-checkpoint x.pt --name B-L", "x.pt does not exist"),
    ("import-checkpoint half.npz --name B-L --output sheet.json", "--output sheet.json is a file"),
    ("sample S-S --classes Nope", "'Nope' is no class"),
    ("sample S-S --classes 9", "9 is not in 0..4"),
    ("sample S-S --classes 0 --cfg-schedule foo", "--cfg-schedule 'foo' is not one of constant, step, linear"),
    ("sample S-S --classes 0 --precision fp8", "--precision 'fp8' is not one of fp32, bf16"),
    ("sample S-S --classes 0 --tokenizer nothing", "no model 'nothing'"),
    ("sample S-B --classes list", "'gigatok-bench repro train_generator@S-B' makes it"),
    ("encode S-S nosuch.png", "nosuch.png does not exist"),
    ("encode S-S empty", "no images in empty"),
    ("encode S-B nosuch.png", "'gigatok-bench repro train_tokenizer@S-B' makes it"),
    ("reconstruct S-S nosuch.png", "nosuch.png does not exist"),
    ("reconstruct S-S", "dvc repro prepare"),
    ("decode S-S nosuch.npz", "nosuch.npz does not exist"),
    ("decode S-S half.npz", "half.json does not exist"),
    ("decode S-S nosuch.npz --images sheet.json", "--images sheet.json is a file"),
    ("track models nope", "params.yaml has no model 'nope'"),
    ("track models S-S", "'S-S' has no finished run: 'gigatok-bench repro train_tokenizer@S-S' makes it"),
    ("tune guidance S-S", "'gigatok-bench repro train_generator@S-S' makes"),
)


def _end_one_after_the_other(folder: Path, lines: list[str]) -> list[tuple[int, str, str, bool]]:
    """Status, stdout and stderr of each command, and whether torch was loaded by then, all in one process."""
    words = [sys.executable, "-c", _WATCHED, *lines]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    return [tuple(each) for each in json.loads(done.stdout)]


def test_what_is_wrong_with_the_words_is_said_before_torch_is_loaded(trained: Path) -> None:
    ended = _end_one_after_the_other(trained, [words for words, _ in _WRONG])
    assert [(words, err) for (words, said), (_, _, err, _) in zip(_WRONG, ended, strict=True) if said not in err] == []
    assert [words for (words, _), (*_, loaded) in zip(_WRONG, ended, strict=True) if loaded] == []
    assert {status for status, *_ in ended} == {1, 2}
    assert [err for _, _, err, _ in ended if not err.startswith("gigatok-bench: ") or len(err) > 400] == []


def test_a_list_of_classes_needs_no_torch(trained: Path) -> None:
    [(status, out, _, loaded)] = _end_one_after_the_other(trained, ["sample S-S --classes list --output deep/x.png"])
    assert (status, loaded) == (0, False)
    assert out.splitlines() == [f"{number}  {number}" for number in range(5)]
    assert not (trained / "deep").exists()


def test_the_names_of_released_sizes_are_those_of_the_models() -> None:
    assert tuple(TOKENIZERS) == RELEASED_TOKENIZERS
    assert tuple(AR_MODELS) == RELEASED_GENERATORS


def test_every_line_of_a_groups_help_is_a_whole_one(command: Command) -> None:
    """'their curves,...' and 'learning rate and...' used to end them."""
    for words in ([], ["runs"], ["track"], ["tune"], ["weights"]):
        lines = command(*words, "--help").out.partition("Commands:")[2].splitlines()
        assert len(lines) > 2
        assert [line for line in lines if line.endswith("...")] == []


def test_a_wrong_option_names_the_help_of_its_command(command: Command) -> None:
    assert "'gigatok-bench sample --help' lists" in command("sample", "S-S").err
    assert "'gigatok-bench runs --help' lists" in command("runs", "foo").err
    assert "'gigatok-bench --help' lists" in command("foo").err
    assert "'gigatok-bench --quiet runs'" in command("runs", "--quiet").err
    assert "'gigatok-bench --debug runs compare'" in command("runs", "compare", "--debug").err


def test_an_archive_says_on_stdout_what_it_wrote(
    command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained)
    for kind in ("tokenizers", "generators"):
        (trained / "runs" / kind / "S-S" / "summary.json").write_text("{}")
    ended = command("archive", "deep/run.zip", "--json")
    document = json.loads(ended.out)
    assert (document["output"], document["files"]) == ("deep/run.zip", 6)
    assert document["sha256"] == file_sha256(trained / "deep" / "run.zip")
    assert command("archive", "run.zip").out == "6 files in run.zip\n"


def test_reconstruct_prints_one_json_document(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    ended = command("reconstruct", str(tokenizer_folder), str(image_folder), "--output", str(output), "--json")
    document = json.loads(ended.out)
    assert (document["output"], document["images"], document["unreadable"]) == (str(output), 3, 1)
    assert document["psnr"] > 0
    assert document["tokenizer"]["name"] == "tokenizer"
