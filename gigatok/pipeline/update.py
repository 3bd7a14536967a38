"""Running the pipeline from a command: parameters first, then the stages, then what the user gets."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gigatok.config import Params
    from gigatok.pipeline.runner import Outcome

DRAIN_SECONDS = 60.0
"""How long the end of a run waits for MLflow."""
TURN_SECONDS = 0.5
"""Between two looks at whether the pipeline is free."""


def planned_params(root: Path, profile: str | None, suite: str | None) -> Params:
    """What ``params.yaml`` will say: the file as it is, or as a profile and a suite would rewrite it.

    Raises:
        ConfigError: a name is unknown or the file is invalid.
    """
    from gigatok.config import load_params, parse_params
    from gigatok.config.reading import parse_yaml
    from gigatok.pipeline.params_file import rendered

    path = root / "params.yaml"
    before = load_params(path) if path.exists() or (profile is None and suite is None) else None
    name = profile or (before.profile if before else "nano")
    chosen = suite or (before.suite if before else "core")
    if before is not None and (name, chosen) == (before.profile, before.suite):
        return before
    return parse_params(parse_yaml(rendered(name, chosen), f"profile {name}"), source=f"profile {name}")


def choose_params(root: Path, profile: str | None, suite: str | None) -> Params:
    """``planned_params``, written to the file (after saying so) where they differ from it."""
    from gigatok.config import load_params
    from gigatok.pipeline.params_file import note_kept_settings, warn_of_lost_settings, write_profile

    params = planned_params(root, profile, suite)
    path = root / "params.yaml"
    if not path.exists() or params != load_params(path):
        print(f"rewriting params.yaml: profile {params.profile}, suite {params.suite}", file=sys.stderr)
        warn_of_lost_settings(root, params.profile, params.suite)
        write_profile(root, params.profile, params.suite)
    elif profile is not None or suite is not None:
        note_kept_settings(root, params.profile, params.suite)
    return params


def bring_up_to_date(
    root: Path,
    targets: Iterable[str],
    *,
    jobs: int = 0,
    profile: str | None = None,
    suite: str | None = None,
    settings: Sequence[str] = (),
    wait: float = 0.0,
) -> Outcome:
    """Run what is out of date of ``targets`` (none: everything).

    Args:
        jobs: stages at one time; 0: what the machine carries.
        profile: rewrite ``params.yaml`` with this profile first; ``None``: use the file as it is.
        suite: likewise.
        settings: ``KEY=VALUE``, which hold for this run alone.
        wait: seconds to wait for another process that does this here.

    Raises:
        HeldError: another process does this here, and still does after that time; it is named.
        GigatokError: see ``run_graph``; or the machine cannot serve the profile.
    """
    from gigatok.pipeline.one_run import settings_for_one_run

    with _turn(root, wait), settings_for_one_run(root, settings):
        return _bring_up_to_date(root, targets, jobs, profile, suite)


def _turn(root: Path, wait: float) -> ExitStack:
    """The pipeline's lock, which whoever has it now is waited for, with one line that says so."""
    from gigatok.artifacts import Workspace
    from gigatok.artifacts.lock import HeldError, hold

    lock, what = Workspace(root).pipeline_lock, f"the pipeline in {root} is being brought up to date"
    deadline, turn, said = time.monotonic() + wait, ExitStack(), False
    while True:
        try:
            turn.enter_context(hold(lock, what))
        except HeldError as error:
            if time.monotonic() >= deadline:
                raise
            if not said:
                print(f"waiting for at most {wait / 60:.0f} min: {error}", file=sys.stderr, flush=True)
            said = True
            time.sleep(TURN_SECONDS)
        else:
            return turn


def _bring_up_to_date(root: Path, targets: Iterable[str], jobs: int, profile: str | None, suite: str | None) -> Outcome:
    from gigatok.pipeline.gpus import open_pool
    from gigatok.pipeline.requirements import require
    from gigatok.pipeline.runner import Interrupted, run_graph
    from gigatok.planning.hours import expected_seconds
    from gigatok.runtime.machine import default_jobs

    targets = tuple(targets)
    require(planned_params(root, profile, suite), root, targets)
    params = choose_params(root, profile, suite)
    try:
        outcome = run_graph(
            root,
            jobs=jobs or default_jobs(params),
            targets=targets,
            expected=expected_seconds(params),
            gpus=open_pool(params),
        )
    except Interrupted:
        release_tracking(root, params)
        raise
    if outcome.ran:
        release_tracking(root, params, DRAIN_SECONDS)
    return outcome


def release_tracking(root: Path, params: Params, seconds: float = 0.0) -> None:
    """Give MLflow ``seconds`` to take what is left, and let its feeder go. What it misses, journals keep."""
    from gigatok.tracking import drain

    if params.tracking.enabled:
        drain(root / "runs", seconds, params.tracking)
