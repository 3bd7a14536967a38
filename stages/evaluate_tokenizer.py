"""DVC stage ``evaluate_tokenizer@NAME``: see ``gigatok.evaluation.stages.tokenizer``."""

from common import run_named_stage

from gigatok.evaluation.stages.tokenizer import score_tokenizer

if __name__ == "__main__":
    run_named_stage(score_tokenizer)
