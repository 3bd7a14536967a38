"""DVC stage ``train_tokenizer@NAME``: see ``gigatok.training.train_tokenizer``."""

import sys

from common import run_stage

from gigatok.training.train_tokenizer import train_tokenizer

if __name__ == "__main__":
    run_stage(lambda params, workspace: train_tokenizer(sys.argv[1], params, workspace))
