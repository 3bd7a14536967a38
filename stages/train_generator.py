"""DVC stage ``train_generator@NAME``: see ``gigatok.training.train_generator``."""

import sys
from functools import partial

from common import run_named_stage

from gigatok.artifacts import Workspace, resume_anyway
from gigatok.config import Params
from gigatok.training.distributed.launch import run_in_processes
from gigatok.training.train_generator import train_generator


def train(name: str, params: Params, workspace: Workspace, *, anyway: bool) -> None:
    """Train in this process, or in as many as section ``launch`` asks for."""
    if not run_in_processes("generator", name, params, resume_anyway=anyway):
        train_generator(name, params, workspace, resume_anyway=anyway)


if __name__ == "__main__":
    run_named_stage(partial(train, anyway=resume_anyway(sys.argv)))
