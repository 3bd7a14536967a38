"""What a command would run, for ``--dry-run``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gigatok.config import Params, load_params
from gigatok.pipeline.params_file import warn_of_lost_settings
from gigatok.pipeline.plan import asked_stages, planned_stages
from gigatok.pipeline.requirements import missing, refused_stages
from gigatok.pipeline.runner.display import span_text
from gigatok.pipeline.runner.history import Estimates, Span, read_seconds
from gigatok.planning.hours import expected_seconds


def print_plan(root: Path, params: Params, targets: Iterable[str], *, as_json: bool) -> None:
    """The stages that would run, with their expected seconds on one core.

    What ``repro`` would stop at goes to stderr: things that are missing, and trainings that this machine cannot share
    or hold in memory.
    """
    path = root / "params.yaml"
    current = load_params(path) if path.exists() else None
    if current is not None and (current.profile, current.suite) != (params.profile, params.suite):
        print(f"params.yaml would be rewritten: profile {params.profile}, suite {params.suite}", file=sys.stderr)
        warn_of_lost_settings(root, params.profile, params.suite)
    expected, targets = expected_seconds(params), tuple(targets)
    stages = planned_stages(root, params, targets)
    seconds = {name: round(expected.get(name, 0.0)) for name in stages}
    before = read_seconds(root / "runs" / "logs", expected)
    spans = Estimates({**expected, **before}, list(stages), before).spans() if stages else {}
    total = Span(sum(span.low for span in spans.values()), sum(span.high for span in spans.values()))
    lacks = missing(params, root, stages=asked_stages(params, targets))
    refused = refused_stages(params, stages)
    for reason, lines in (("missing", lacks), ("refused", refused)):
        for line in lines:
            print(f"{reason}: {line}", file=sys.stderr)
    if as_json:
        plan: dict[str, Any] = {"profile": params.profile, "suite": params.suite, "stages": seconds}
        plan |= {"missing": lacks, "refused": refused}
        plan["seconds"] = {"low": round(total.low), "high": round(total.high)}
        print(json.dumps(plan, indent=2))
        return
    for name, span in spans.items():
        print(f"{name}  {span_text(span)}")
    print(f"{len(stages)} stages would run, {span_text(total)} on one core (profile {params.profile})")
