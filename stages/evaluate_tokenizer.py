"""DVC stage ``evaluate_tokenizer@NAME``: see ``gigatok.evaluation.score_tokenizer``."""

import sys

from common import run_stage

from gigatok.evaluation.score_tokenizer import score_tokenizer

if __name__ == "__main__":
    run_stage(lambda params, workspace: score_tokenizer(sys.argv[1], params, workspace))
