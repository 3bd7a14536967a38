"""DVC stage ``evaluate_generator@NAME``: see ``gigatok.evaluation.stages.generator``."""

from common import run_named_stage

from gigatok.artifacts import Workspace
from gigatok.config import Params
from gigatok.evaluation.stages.generator import score_generator


def score(name: str, params: Params, workspace: Workspace) -> None:
    """Score it, on indices that are made first where they are missing."""
    entry = params.generators.get(name)
    if entry and entry.checkpoint != "final" and not workspace.generator(name).checkpoint_indices_path.exists():
        # No dependency of this stage: code that gives other indices trains the generator anew.
        from gigatok.training.train_generator import checkpoint_indices

        checkpoint_indices(name, params, workspace)
    score_generator(name, params, workspace)


if __name__ == "__main__":
    run_named_stage(score)
