"""DVC stage ``criteria``: what decides the paper's claims, recorded before the runs that they are about."""

from datetime import UTC, datetime

from common import run_stage

from gigatok.artifacts import Workspace
from gigatok.config import Params
from gigatok.paper.claims.criteria import fix_criteria


def main(params: Params, workspace: Workspace) -> None:
    """Write ``runs/criteria.json``, or leave it where nothing has changed."""
    record = fix_criteria(workspace.runs, params, datetime.now(UTC))
    print(f"{len(record.versions[-1].claims)} criteria, fixed {record.versions[-1].date:%Y-%m-%d %H:%M} UTC")


if __name__ == "__main__":
    run_stage(main)
