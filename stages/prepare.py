"""DVC stage ``prepare``: images, index and splits."""

from common import run_stage

from gigatok.artifacts import Workspace
from gigatok.config import Params
from gigatok.data import prepare


def main(params: Params, workspace: Workspace) -> None:
    """Write ``runs/data``."""
    paper = params.profile == "paper"
    summary = prepare(params.prepare, params.base, workspace.data, own_split=paper)
    print(summary.describe())


if __name__ == "__main__":
    run_stage(main)
