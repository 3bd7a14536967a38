"""DVC stage ``teacher``: the frozen teacher's features of all training images, once."""

from common import run_stage

from gigatok.artifacts import Workspace
from gigatok.config import Params
from gigatok.training.teacher_features import store_teacher_features


def main(params: Params, workspace: Workspace) -> None:
    """Write ``runs/teacher``."""
    store_teacher_features(params, workspace)


if __name__ == "__main__":
    run_stage(main)
