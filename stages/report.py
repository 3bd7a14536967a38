"""DVC stage ``report``: tables, figures and the page."""

from common import run_stage

from gigatok.artifacts import Workspace
from gigatok.config import Params
from gigatok.paper.report.build import build_report
from gigatok.runtime.machine import cores


def main(params: Params, workspace: Workspace) -> None:
    """Write ``reports``."""
    build_report(workspace.runs, params, workspace.reports, beside=cores() > 1)


if __name__ == "__main__":
    run_stage(main)
