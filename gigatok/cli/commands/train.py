"""``gigatok-bench train``: one training outside DVC's graph, as its stage runs it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from gigatok.cli.completion import kinds, models
from gigatok.cli.options import SetOption

KINDS = ("tokenizer", "generator")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(short_help="One training, outside the pipeline.", epilog="Example: gigatok-bench train tokenizer B-L")(
        train
    )


def train(
    kind: Annotated[str, typer.Argument(autocompletion=kinds, help="tokenizer or generator.")],
    name: Annotated[str, typer.Argument(autocompletion=models, help="One of those in params.yaml.")],
    settings: SetOption = None,
) -> None:
    """Train one model as its stage would, with the processes that section launch of params.yaml asks for.

    What it needs must be there: prepared data, a teacher's features, a generator's tokenizer. A training that was
    interrupted resumes; the next repro finds it done. Ctrl-C has it save its state; a second one does not wait.
    """
    from gigatok.artifacts import Workspace
    from gigatok.artifacts.lock import HeldError, hold
    from gigatok.artifacts.settings_file import user_of_one_run
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, load_params
    from gigatok.pipeline.naming import suggestions
    from gigatok.pipeline.one_run import settings_for_one_run
    from gigatok.pipeline.runner.requests import run_to_its_end

    if kind not in KINDS:
        raise ConfigError(f"{kind!r} is not one of {', '.join(KINDS)}")
    root = project_root()
    if (owner := user_of_one_run(root)) is not None:
        raise HeldError(f"params.yaml holds the settings of a run with --set by {owner.describe()}: wait for it to end")
    params = load_params(root / "params.yaml")
    known = params.tokenizers if kind == "tokenizer" else params.generators
    if name not in known:
        raise ConfigError(f"params.yaml has no {kind} {name!r}: {suggestions(name, known, 'params.yaml')}")
    command = [sys.executable, f"stages/train_{kind}.py", name]
    with ExitStack() as stack:
        if settings:  # nobody else may read params.yaml meanwhile
            what = f"the pipeline in {root} is being brought up to date"
            stack.enter_context(hold(Workspace(root).pipeline_lock, what))
            stack.enter_context(settings_for_one_run(root, settings))
        code = run_to_its_end(command, root)
    if code:
        raise typer.Exit(code)
