"""DVC stage ``train_generator@NAME``: see ``gigatok.training.train_generator``."""

import sys

from common import run_stage

from gigatok.training.train_generator import train_generator

if __name__ == "__main__":
    run_stage(lambda params, workspace: train_generator(sys.argv[1], params, workspace))
