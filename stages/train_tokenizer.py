"""DVC stage ``train_tokenizer@NAME``: see ``gigatok.training.train_tokenizer``."""

from common import run_named_stage

from gigatok.training.train_tokenizer import train_tokenizer

if __name__ == "__main__":
    run_named_stage(train_tokenizer)
