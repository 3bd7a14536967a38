"""``evaluate`` and ``explain`` from files to text, with the embedded judge."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from cli_harness import Command
from PIL import Image
from typer.testing import CliRunner

from gigatok.artifacts import ScoreSheet
from gigatok.cli.commands import evaluate, explain
from gigatok.config import GigatokError


@pytest.fixture
def app() -> typer.Typer:
    application = typer.Typer()
    for command in (evaluate, explain):
        command.register(application)
    return application


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    for name, low in (("a", 60), ("b", 0)):
        np.savez(tmp_path / f"{name}.npz", arr_0=random.integers(low, 256, (8, 16, 16, 3), dtype=np.uint8))
    return tmp_path / "a.npz", tmp_path / "b.npz"


def _run(app: typer.Typer, *arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_scores_are_shown_with_how_they_were_measured(
    app: typer.Typer, sets: tuple[Path, Path], tmp_path: Path
) -> None:
    output = tmp_path / "scores.json"
    options = ("--extractor-size", 64, "--reconstructions", "--output", output)
    text = _run(app, "evaluate", *sets, *options)
    sheet = ScoreSheet.read(output)
    assert f"{sheet.value('rfid/efficientnet-lite2'):.6g}" in text
    assert "extractor efficientnet-lite2; extractor_sha256" in text
    assert "reference b.npz (" in text
    assert "note: inception_score is absent: 10 splits need as many samples" in text
    assert json.loads(_run(app, "evaluate", *sets, *options, "--json"))["scores"][0]["metric"].startswith("rfid/")


def test_a_crop_is_recorded_and_missing_weights_leave_pixel_scores(app: typer.Typer, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(2):
            picture = Image.fromarray(random.integers(0, 256, (20, 16, 3), dtype=np.uint8))
            picture.save(tmp_path / name / f"{number}.png")
    folders = (tmp_path / "a", tmp_path / "b")
    missing = ("--extractor", "inception-2015", "--weights", tmp_path / "none.pth", "--perceptual", "")
    text = _run(app, "evaluate", *folders, *missing, "--crop", 16, "--reconstructions")
    rows = [line.split()[0] for line in text.splitlines() if line[0] not in " n"]
    assert rows == ["psnr", "ssim", "samples", "reference"]
    words = " ".join(text.split())
    assert "crop samples 16, reference 16" in words
    assert "note: fid, sfid, kid, mind, inception_score, precision, recall are absent: " in words
    with pytest.raises(GigatokError, match=r"none\.pth"):
        _run(app, "evaluate", *folders, *missing, "--crop", 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--perceptual", "efficientnet-lite0, lpips"], "--perceptual 'lpips' is not one of"),
        (["--perceptual-weights", "vgg.pth"], "name it, --perceptual vgg16"),
        (["--device", "gpu"], "--device 'gpu' is not one of auto, cpu, cuda"),
    ],
)
def test_wrong_options_end_it_before_a_file_is_read(command: Command, options: list[str], message: str) -> None:
    ended = command("evaluate", "none.npz", "neither.npz", "--reconstructions", *options)
    assert ended.status == 2
    assert message in ended.err
    assert "'none.npz' does not exist" in ended.err
    assert "'neither.npz' does not exist" in ended.err


def test_all_problems_of_options_and_of_both_sets_are_named_at_once_without_torch(tmp_path: Path) -> None:
    """Each used to be named alone, after all libraries had been loaded."""
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "grey.npz", arr_0=np.zeros((2, 4, 4), np.uint8))
    watched = "import sys; from gigatok.cli.app import main\ntry: main()\nfinally: print('torch' in sys.modules)"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-c", watched, "evaluate", *arguments]
        return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)

    ended = run("a", "b.npz", "--extractor", "vgg", "--protocol", "mine", "--perceptual", "lpips", "--device", "gpu")
    assert (ended.returncode, ended.stdout) == (2, "False\n")
    named = (
        "--extractor 'vgg'",
        "--protocol 'mine'",
        "--perceptual 'lpips'",
        "--device 'gpu'",
        "'a' does",
        "'b.npz' does",
    )
    assert [text for text in named if text not in ended.stderr] == []
    ended = run("empty", "grey.npz")
    assert (ended.returncode, ended.stdout) == (1, "False\n")
    assert len(ended.stderr.splitlines()) == 1
    assert "empty" in ended.stderr
    assert "expected uint8 (n, H, W, 3)" in ended.stderr


def test_explain_sizes_the_gap_between_two_preprocessings(
    app: typer.Typer, sets: tuple[Path, Path], tmp_path: Path
) -> None:
    for size in (48, 64):
        _run(
            app,
            "evaluate",
            *sets,
            *("--extractor-size", size, "--cache", tmp_path / "cache", "--output", tmp_path / f"{size}.json"),
        )
    sheets = (tmp_path / "48.json", tmp_path / "64.json")
    text = _run(app, "explain", *sheets, "--cache", tmp_path / "cache")
    assert "differs in extractor_size: 48 | 64" in text
    second = ScoreSheet.read(sheets[1]).value("gfid")
    assert f"A with B's extractor and preprocessing: {second:.6g}" in text
    found = json.loads(_run(app, "explain", *sheets, "--json"))
    assert found[0]["comparable"] is False
    assert found[0]["effects"][0]["value"] is None


def test_sheets_without_a_common_metric_are_refused(app: typer.Typer, tmp_path: Path) -> None:
    for name in ("a", "b"):
        ScoreSheet(name=name, kind="evaluation").write(tmp_path / f"{name}.json")
    with pytest.raises(GigatokError, match="no metric in common"):
        _run(app, "explain", tmp_path / "a.json", tmp_path / "b.json")
