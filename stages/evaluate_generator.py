"""DVC stage ``evaluate_generator@NAME``: see ``gigatok.evaluation.stages.generator``."""

from common import run_named_stage

from gigatok.evaluation.stages.generator import score_generator

if __name__ == "__main__":
    run_named_stage(score_generator)
