"""What every stage script does around its work: one-line errors, exit codes."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

from gigatok.artifacts import Workspace
from gigatok.config import GigatokError, Params, load_params


def run_stage(work: Callable[[Params, Workspace], None]) -> None:
    """Read ``params.yaml``, do the work; an error that the user can mend ends in one line and its exit code."""
    warnings.formatwarning = lambda message, category, *_: f"warning: {message}\n"
    try:
        work(load_params(), Workspace())
    except GigatokError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
