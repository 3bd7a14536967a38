"""One training stage as several processes: torchrun's own agent starts, watches and ends them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch

from gigatok.artifacts import RESUME_VARIABLE
from gigatok.config import ConfigError, GigatokError, Params
from gigatok.config.launch import LaunchSection, require_spread, strategy_for
from gigatok.runtime.device import allow_tf32, find_device, refuse_unrepeatable
from gigatok.training.distributed import endings
from gigatok.training.distributed.endings import Endings
from gigatok.training.distributed.setup import Processes
from gigatok.training.distributed.wrap import Parallel
from gigatok.training.resume.interruption import INTERRUPTED

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    from torch.distributed.elastic.rendezvous import RendezvousError

GRACE_SECONDS = 1500
"""How long interrupted processes may take to finish their step and save before they are killed."""
TOGETHER_SECONDS = 1
"""Who ends later than that after the first one was ended by torchrun, which asks, waits for 30 seconds and kills."""


class StageProcessError(GigatokError):
    """A process of the stage ended before its work was done."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_in_processes(
    kind: Literal["tokenizer", "generator"], name: str, params: Params, *, resume_anyway: bool = False
) -> bool:
    """Run this very script in as many processes as ``launch`` asks for, and wait for them.

    Returns:
        False where the caller does the work itself: it is the only process, or one of those started here.

    Raises:
        ConfigError: the batch cannot be shared as asked, or there are fewer GPUs than asked for. Nothing was loaded.
        StageProcessError: a process failed; its rank is named. With 130 they were interrupted.
        SystemExit: all processes failed alike; rank 0 has said why.
    """
    launch = params.tokenizer_launch(name) if kind == "tokenizer" else params.generator_launch(name)
    section = params.tokenizer_training(name) if kind == "tokenizer" else params.generator_training(name)
    started = "TORCHELASTIC_RUN_ID" in os.environ
    # whom torchrun started sees one GPU, its own: how many there are, torchrun knew
    count = 0 if started else local_processes(launch, params.base.device)
    world = int(os.environ["WORLD_SIZE"]) if started else count * launch.nodes
    require_spread(launch, section, world, f"{kind} {name}")
    if started or world == 1:
        return False
    if resume_anyway:
        os.environ[RESUME_VARIABLE] = "1"  # the processes inherit it
    _run(f"train_{kind}@{name}", launch, count)
    return True


def local_processes(launch: LaunchSection, device: str) -> int:
    """Processes of this node.

    Raises:
        ConfigError: fewer GPUs are visible than processes are asked for, or the device is Apple's, which takes one.
    """
    if launch.nodes * (1 if launch.processes == "auto" else launch.processes) > 1 and find_device(device).type == "mps":
        raise ConfigError(
            f"launch.processes = {launch.processes}, launch.nodes = {launch.nodes}, but a model trains in one process "
            "on Apple's GPU: set both to 1, or base.device to 'cpu'"
        )
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    if launch.processes == "auto":
        return max(1, gpus)
    if launch.processes > gpus and (gpus or device == "cuda"):
        raise ConfigError(
            f"launch.processes = {launch.processes}, but {gpus} GPUs are visible here: lower it, or use 'auto'"
        )
    return launch.processes


def spread(launch: LaunchSection, processes: Processes, precision: Any, parameters: int) -> Parallel:
    """How each step of a model of so many parameters is spread over processes that are running; the smallest GPU of
    them decides for all what ``auto`` means."""
    return Parallel(
        processes,
        strategy=_strategy(launch, processes, precision, parameters),
        micro_batch=launch.micro_batch,
        recompute=launch.recompute,
        compile=launch.compile,
        precision=precision,
    )


def set_arithmetic(launch: LaunchSection) -> None:
    """TF32 and determinism as ``launch`` has them; both concern GPUs alone."""
    allow_tf32(launch.tf32)
    if launch.deterministic:
        refuse_unrepeatable()


def _strategy(launch: LaunchSection, processes: Processes, precision: str, parameters: int) -> Literal["ddp", "fsdp"]:
    if launch.strategy != "auto":
        return launch.strategy
    gpu = processes.device.type == "cuda"
    memory = torch.cuda.get_device_properties(processes.device).total_memory if gpu else 0
    smallest = int(-processes.largest(-float(memory)))
    return strategy_for(parameters, smallest, gpu=gpu, precision=precision)


def _run(stage: str, launch: LaunchSection, count: int) -> None:
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # what matters is said below, once
    config = LaunchConfig(
        min_nodes=launch.nodes,
        max_nodes=launch.nodes,
        nproc_per_node=count,
        run_id=stage,
        rdzv_backend="c10d",
        rdzv_endpoint=launch.rendezvous or "localhost:0",
        max_restarts=0,  # resuming is the scheduler's or the user's decision, by the same command
        virtual_local_rank=True,  # each process sees its own GPU alone
        shutdown_timeout=GRACE_SECONDS,
    )
    with endings.collected() as ended:
        try:
            elastic_launch(config, sys.executable)(*sys.argv)
        except SignalException:
            raise _interruption(stage, ended(), count) from None
        except RendezvousError as error:
            _exit_if_alike(ended())
            raise _lost(stage, error, launch, ended(), count) from None
        except ChildFailedError as error:
            _exit_if_alike(ended())
            raise _failure(stage, error.failures, ended(), count) from None


def _exit_if_alike(ended: Endings) -> None:
    """End as all processes did where they ended by the same error, which rank 0 has said."""
    alike = [each.exit_code for each in ended.values() if each.together]
    if alike and alike[0] != INTERRUPTED:
        raise SystemExit(alike[0]) from None


def _lost(stage: str, error: RendezvousError, launch: LaunchSection, ended: Endings, count: int) -> StageProcessError:
    """What is said where nodes did not meet, or lost each other: first what the ``count`` processes here noted. A node
    whose processes have ended is lost to the others."""
    codes = {rank: each.exit_code for rank, each in ended.items() if each.exit_code}
    if INTERRUPTED in codes.values():
        return _interruption(stage, ended, count)
    if codes:
        return _own_failure(stage, *next(iter(codes.items())))
    reason = " ".join(str(error).split()) or type(error).__name__
    again = "goes on from the last saved state"
    if launch.nodes > 1:
        return StageProcessError(
            f"{stage}: {launch.nodes} nodes did not meet at launch.rendezvous {launch.rendezvous}, or lost each other "
            f"({reason}): look at all of them; the same command on each {again}",
            1,
        )
    place, fix = (
        (f"launch.rendezvous {launch.rendezvous}", "remove it, one node needs none") if launch.rendezvous else
        ("localhost", "look whether this machine resolves that name and lets programs listen there")
    )  # fmt: skip
    return StageProcessError(
        f"{stage}: its {count} processes did not meet at {place} ({reason}): {fix}; the same command {again}", 1
    )


def _failure(stage: str, failures: Mapping[int, ProcessFailure], ended: Endings, count: int) -> StageProcessError:
    """The cause among failures by rank: it is among the first, and one that was killed takes others down at once."""
    codes = [*(failure.exitcode for failure in failures.values()), *(each.exit_code for each in ended.values())]
    if INTERRUPTED in codes:
        return _interruption(stage, ended, count)
    begin = min(failure.timestamp for failure in failures.values())
    first = {rank: failure.exitcode for rank, failure in failures.items()
             if failure.timestamp <= begin + TOGETHER_SECONDS}  # fmt: skip
    killed = {rank: code for rank, code in first.items() if code < 0 and code != -signal.SIGTERM}
    rank, code = next(iter((killed or first).items()))
    fix = "the same command resumes from the last saved state"
    hung = [each for each, failure in failures.items() if failure.exitcode != -signal.SIGABRT]
    if code == -signal.SIGABRT and hung:
        ranks = f"rank{'s' if len(hung) > 1 else ''} {', '.join(map(str, hung))}"
        return StageProcessError(
            f"{stage}: rank {rank} was ended by SIGABRT, as NCCL does where it has waited for launch.timeout_minutes; "
            f"look first at {ranks}, which did not give up waiting: {fix}",
            1,
        )
    if code < 0:
        reason = f"was killed by {signal.Signals(-code).name}"
        return StageProcessError(f"{stage}: rank {rank} {reason}, the others were ended: {fix}", 1)
    return _own_failure(stage, rank, code)


def _own_failure(stage: str, rank: int, code: int) -> StageProcessError:
    return StageProcessError(f"{stage}: rank {rank} ended with exit code {code}: its message is above", code)


def _interruption(stage: str, ended: Endings, count: int) -> StageProcessError:
    """What is said of ``count`` processes of this node of which some were asked to stop."""
    saved = len(ended) == count and all(each.saved for each in ended.values())
    what = (
        "its processes saved their state, the same command resumes from there" if saved else
        "not all of its processes saved their state, the same command resumes from the last one that is saved"
    )  # fmt: skip
    return StageProcessError(f"{stage} interrupted: {what}", INTERRUPTED)
