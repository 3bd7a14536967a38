"""What every stage script does around its work: one-line errors, exit codes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path

_COLLECTED = gc.get_threshold()
gc.set_threshold(1_000_000)  # what is imported is no garbage, and looking for some is a sixth of the time of imports
# The code beside this script, and not an installed one: 'dvc exp run --temp' has a copy of the project of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gigatok.artifacts import Workspace
from gigatok.artifacts.settings_file import put_back, require_unchanged
from gigatok.config import GigatokError, Params, load_params
from gigatok.tracking.experiments.delivery import deliver_experiment
from gigatok.tracking.messages import mask, mendable
from gigatok.tracking.progress import show_warnings

_USAGE, _INTERRUPTED = 2, 130


def run_stage(work: Callable[[Params, Workspace], None]) -> None:
    """Do the work on ``params.yaml``; what a user can mend ends in one line with its code, a fault in a traceback."""
    gc.freeze()  # what is imported stays, and is not looked through later either
    gc.set_threshold(*_COLLECTED)
    show_warnings("@".join([Path(sys.argv[0]).stem, *sys.argv[1:]]))
    try:
        if said := put_back(Path()):
            print(said, file=sys.stderr)
        params, workspace = load_params(), Workspace()
        work(params, workspace)
        deliver_experiment(workspace.runs, params.tracking)
        require_unchanged(params)
    except GigatokError as error:
        _stop(f"{error}", error.exit_code)
    except KeyboardInterrupt:
        _stop("interrupted before its state was saved", _INTERRUPTED)
    except (OSError, MemoryError, RuntimeError) as error:
        if (text := mendable(error)) is None:
            raise
        _stop(text, 1)


def run_named_stage(work: Callable[[str, Params, Workspace], None]) -> None:
    """As ``run_stage`` with the name of a tokenizer or generator, the script's one argument."""
    if len(sys.argv) != 2:
        _stop(f"usage: python stages/{Path(sys.argv[0]).name} NAME (one of those in params.yaml)", _USAGE)
    run_stage(lambda params, workspace: work(sys.argv[1], params, workspace))


def _stop(text: str, code: int) -> None:
    print(f"error: {mask(text)}", file=sys.stderr)
    sys.exit(code)
