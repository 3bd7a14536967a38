"""DVC stage ``evaluate_generator@NAME``: see ``gigatok.evaluation.score_generator``."""

import sys

from common import run_stage

from gigatok.evaluation.score_generator import score_generator

if __name__ == "__main__":
    run_stage(lambda params, workspace: score_generator(sys.argv[1], params, workspace))
