"""DVC stage ``train_generator@NAME``: see ``gigatok.training.train_generator``."""

from functools import partial

from common import resume_anyway, run_named_stage

from gigatok.training.train_generator import train_generator

if __name__ == "__main__":
    run_named_stage(partial(train_generator, resume_anyway=resume_anyway()))
