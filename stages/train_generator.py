"""DVC stage ``train_generator@NAME``: see ``gigatok.training.train_generator``."""

from common import run_named_stage

from gigatok.training.train_generator import train_generator

if __name__ == "__main__":
    run_named_stage(train_generator)
