"""What the shell offers after TAB, in the words that Bash sends."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.completion import get_completion_script

from gigatok.cli import completion
from gigatok.cli.app import app
from gigatok.config.profiles import render

ROOT = Path(__file__).parents[2]
PROGRAM = typer.main.get_command(app)
VARIABLE = "_GIGATOK_BENCH_COMPLETE"
SECONDS, MORE = 0.3, 0.06
"""CPU seconds of an answer; on a slow or busy machine what it may take besides the time of the command's help."""
NAMES = [*yaml.safe_load(render("smoke"))["tokenizers"]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings and pipeline of profile smoke, three runs, and one that was set aside; below it the working folder."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(render("smoke"))
    for run in ("tokenizers/S-S", "tokenizers/B-L", "generators/S-S", ".old/tokenizers-S-S-1", "tokenizers/.hidden"):
        (tmp_path / "runs" / run).mkdir(parents=True)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    return tmp_path


def variables(*words: str) -> dict[str, str]:
    """What Bash tells of a command line; its last word is being typed."""
    return {
        VARIABLE: "complete_bash",
        "COMP_WORDS": "\n".join(("gigatok-bench", *words)),
        "COMP_CWORD": f"{len(words)}",
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("reconstruct |B-", ["B-L", "B-L-no-sem"]),
        ("encode |XL", ["XL-XXL"]),
        ("decode |XL", ["XL-XXL"]),
        ("sample |XL", ["XL-XXL"]),
        ("sample S-S --tokenizer |L", ["L-XL"]),
        ("tune tokenizer |", NAMES),
        ("tune guidance |", NAMES),
        ("train |t", ["tokenizer"]),
        ("train generator |XL", ["XL-XXL"]),
        ("track models S-S |B-L-", ["B-L-no-sem"]),
        ("runs compare |", ["B-L", "S-S", ".old/tokenizers-S-S-1"]),
        ("runs compare S-S |tokenizers/", ["tokenizers/B-L", "tokenizers/S-S"]),
        ("runs restore |", [".old/tokenizers-S-S-1"]),
        (
            "repro |eval",
            [
                f"evaluate_{kind}{key}"
                for kind in ("tokenizer", "generator")
                for key in ("", *(f"@{name}" for name in NAMES))
            ],
        ),
        ("repro report |pre", ["prepare"]),
        ("repro |train_tokenizer@L", ["train_tokenizer@L-XL"]),  # zsh and fish send the word whole
        ("repro train_tokenizer @ |L", ["L-XL"]),  # Bash replaces what follows the @
        ("slurm |train_generator@X", ["train_generator@XL-XXL"]),
        ("scaling --sizes |s,x", ["s,xl"]),
        ("ui --compare |s,xl,X", ["s,xl,XL-XXL"]),
        ("profile |", ["mini", "nano", "paper", "smoke"]),
        ("weights fetch |vgg", ["vgg16"]),
        ("runs |com", ["compare"]),
    ],
)
def test_names_are_offered(
    capsys: pytest.CaptureFixture[str],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    expected: list[str],
) -> None:
    before, _, typed = line.partition("|")
    for name, value in variables(*before.split(), typed).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        PROGRAM.main([], prog_name="gigatok-bench", standalone_mode=False)
    said = capsys.readouterr()
    assert sorted(said.out.split()) == sorted(expected)
    assert said.err == ""


@pytest.mark.parametrize("content", [None, "a: [", "[1, 2]", "tokenizers: 3\nstages: {x: 3}", "\x00"])
def test_odd_files_offer_nothing(project: Path, content: str | None) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (project / name).unlink()
        if content is not None:
            (project / name).write_text(content)
    assert completion.models("") == []
    assert {name for name in completion.stages("") if "@" in name} == set()


def test_an_answer_is_quick_and_loads_nothing_heavy(project: Path) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = ('torch', 'numpy', 'mlflow', 'dvc', 'matplotlib', 'rich', 'gigatok.config', 'gigatok.pipeline')\n"
        "atexit.register(lambda: print('loaded:', *(name for name in heavy if name in sys.modules)))\n"
        "sys.argv = ['gigatok-bench']\n"
        "from gigatok.cli.app import main\n"
        "main()\n"
    )
    for words in (("repro", "train_tokenizer@XL"), ("runs", "compare", ".old")):
        answers, helps = [], []
        for _ in range(5):
            seconds, said = cpu_seconds(code, variables(*words))
            answers.append(seconds)
            helps.append(cpu_seconds(code.replace("['gigatok-bench']", f"{['', *words[:-1], '--help']}"), {})[0])
            assert said.splitlines()[-1].strip() == "loaded:"
            assert words[-1] in said
            if answers[-1] < SECONDS:
                break
        assert min(answers) < max(SECONDS, min(helps) + MORE), words


def cpu_seconds(code: str, environment: dict[str, str]) -> tuple[float, str]:
    """CPU time of a program, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no Bash here")
@pytest.mark.parametrize(
    ("words", "expected"), [("train_tokenizer @ XL", ["XL-XXL"]), ("train_tokenizer @", NAMES), ("prep", ["prepare"])]
)
def test_the_script_that_the_program_installs_works_in_bash(project: Path, words: str, expected: list[str]) -> None:
    program = project / "bin" / "gigatok-bench"
    program.parent.mkdir()
    start = "import sys; sys.argv[0] = 'gigatok-bench'; from gigatok.cli.app import main; main()"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-c", start])} "$@"\n')
    program.chmod(0o755)
    script = get_completion_script(prog_name="gigatok-bench", complete_var=VARIABLE, shell="bash")
    asked = (
        f"COMP_WORDS=(gigatok-bench repro {words})\nCOMP_CWORD={len(words.split()) + 1}\n"
        '_gigatok_bench_completion gigatok-bench\nprintf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    environment = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{script}\n{asked}"], env=environment, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == sorted(expected), done.stderr
