"""DVC stage ``reference``: the judge's features of the real images, and floors."""

from common import run_stage

from gigatok.evaluation.stages.reference import score_reference

if __name__ == "__main__":
    run_stage(score_reference)
