"""``gigatok-bench slurm``: a job script for training stages on several nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gigatok.cli.completion import trainings

STAGES = ("train_tokenizer", "train_generator")
SCRIPT = r"""#!/bin/bash
#SBATCH --job-name={job}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={gpus}
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time={time}
#SBATCH --output={job}-%j.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:TERM@{notice}
# Written by: gigatok-bench slurm {stages} --nodes {nodes} --gpus {gpus}
# Trains one stage after the other over all GPUs. {notice} seconds before the time limit a run saves its state and the
# job is queued again; after a preemption Slurm does that itself. Either way the same script resumes.
set -uo pipefail

cd {root} || exit 1
first_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
stopped=0
step=

stop() {{
  stopped=1
  # to the step alone, not to this shell; srun itself would answer SIGTERM with SIGKILL to all it has started
  if [ -n "$step" ]; then scancel --signal=TERM "$SLURM_JOB_ID"; fi
}}
trap stop TERM

again() {{
  scontrol requeue "$SLURM_JOB_ID"
  exit 130
}}

train() {{
  if [ "$stopped" -eq 1 ]; then again; fi  # the signal came between two stages
  # without a number a task may get one CPU of all that the job has
  srun --kill-on-bad-exit=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" {python} -m torch.distributed.run \
    --nnodes={nodes} --nproc-per-node={gpus} --max-restarts=0 --virtual-local-rank \
    --shutdown-timeout={grace} --rdzv-backend=c10d --rdzv-endpoint="$first_node:$port" \
    --rdzv-id="$SLURM_JOB_ID-${{SLURM_RESTART_COUNT:-0}}-$2" "$1" "$2" &
  step=$!
  if [ "$stopped" -eq 1 ]; then kill "$step"; fi  # it began as the signal came: it has done nothing yet
  code=0
  wait "$step" || code=$?
  if [ "$stopped" -eq 1 ]; then  # the signal ended the first wait, not the step
    wait "$step"
    again
  fi
  step=
  if [ "$code" -ne 0 ]; then exit "$code"; fi
}}

{calls}
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        short_help="A job script for several nodes.",
        epilog="Example: gigatok-bench slurm train_tokenizer@XL-XXL --nodes 4 --gpus 8 > job.sh && sbatch job.sh",
    )(slurm)


def slurm(
    stages: Annotated[
        list[str], typer.Argument(autocompletion=trainings, help="Training stages, e.g. train_tokenizer@XL-XXL.")
    ],
    nodes: Annotated[int, typer.Option(help="Nodes of the job.", min=1)] = 1,
    gpus: Annotated[int, typer.Option(help="GPUs of each node.", min=1)] = 8,
    time: Annotated[str, typer.Option(help="Time limit, as Slurm writes it.")] = "24:00:00",
    notice: Annotated[int, typer.Option(help="Seconds before the limit at which states are saved.", min=30)] = 600,
) -> None:
    """Print a Slurm job script that trains the stages over all GPUs of all nodes, and resumes after a preemption."""
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, load_params
    from gigatok.config.launch import require_spread

    root = project_root()
    params = load_params(root / "params.yaml")
    for stage in stages:
        kind, _, name = stage.partition("@")
        if kind not in STAGES or not name:
            raise ConfigError(f"{stage!r} is no training stage: name it like train_tokenizer@XL-XXL")
        tokenizer = kind == "train_tokenizer"
        launch = params.tokenizer_launch(name) if tokenizer else params.generator_launch(name)
        section = params.tokenizer_training(name) if tokenizer else params.generator_training(name)
        require_spread(launch, section, nodes * gpus, f"{kind.removeprefix('train_')} {name}")
    print(job_script(stages, root, nodes=nodes, gpus=gpus, time=time, notice=notice), end="")


def job_script(stages: list[str], root: Path, *, nodes: int, gpus: int, time: str, notice: int) -> str:
    """The script, ready for ``sbatch``."""
    import shlex
    import sys

    calls = [f"train stages/{stage.partition('@')[0]}.py {stage.partition('@')[2]}" for stage in stages]
    return SCRIPT.format(
        job=stages[0].replace("@", "-"),
        stages=" ".join(stages),
        nodes=nodes,
        gpus=gpus,
        time=time,
        notice=notice,
        grace=max(20, notice - 30),
        root=shlex.quote(str(root)),
        python=shlex.quote(sys.executable),
        calls="\n".join(calls),
    )
