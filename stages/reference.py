"""DVC stage ``reference``: features of the real images, and baselines without a trained model."""

from common import run_stage

from gigatok.evaluation.stages.reference import score_reference

if __name__ == "__main__":
    run_stage(score_reference)
