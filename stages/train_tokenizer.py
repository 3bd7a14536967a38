"""DVC stage ``train_tokenizer@NAME``: see ``gigatok.training.train_tokenizer``."""

import sys
from functools import partial

from common import run_named_stage

from gigatok.artifacts import Workspace, resume_anyway, write_json
from gigatok.config import Params
from gigatok.training.distributed.launch import run_in_processes
from gigatok.training.train_tokenizer import train_tokenizer


def train(name: str, params: Params, workspace: Workspace, *, anyway: bool) -> None:
    """Train, and list the kept checkpoints in their folder: most tokenizers keep none, and DVC warns of empty ones."""
    if not run_in_processes("tokenizer", name, params, resume_anyway=anyway):
        train_tokenizer(name, params, workspace, resume_anyway=anyway)
    folder = workspace.tokenizer(name).checkpoint_path(0).parent
    folder.mkdir(exist_ok=True)
    write_json(folder / "kept.json", sorted(path.name for path in folder.glob("*.safetensors")))


if __name__ == "__main__":
    run_named_stage(partial(train, anyway=resume_anyway(sys.argv)))
