"""What a command would run, for ``--dry-run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from gigatok.config import Params, load_params
from gigatok.pipeline.params_file import warn_of_lost_settings
from gigatok.pipeline.plan import planned_stages
from gigatok.pipeline.requirements import missing
from gigatok.pipeline.runner.display import clock
from gigatok.planning.hours import expected_seconds


def print_plan(root: Path, params: Params, targets: Iterable[str], *, as_json: bool) -> None:
    """The stages that would run, with their expected seconds on one core; lacks go to stderr."""
    path = root / "params.yaml"
    if path.exists() and load_params(path) != params:
        print(f"params.yaml would be rewritten: profile {params.profile}, suite {params.suite}", file=sys.stderr)
        warn_of_lost_settings(root, params.profile, params.suite)
    expected = expected_seconds(params)
    seconds = {name: round(expected.get(name, 0.0)) for name in planned_stages(root, params, tuple(targets))}
    lacks = missing(params, root)
    for line in lacks:
        print(f"missing: {line}", file=sys.stderr)
    if as_json:
        plan = {"profile": params.profile, "suite": params.suite, "stages": seconds, "missing": lacks}
        print(json.dumps(plan, indent=2))
        return
    for name in seconds:
        print(f"{name}  about {clock(seconds[name])}")
    total = clock(sum(seconds.values()))
    print(f"{len(seconds)} stages would run, about {total} on one core (profile {params.profile})")
