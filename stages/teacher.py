"""DVC stage ``teacher``: the frozen teacher's features of all training images, once."""

from common import run_stage

from gigatok.training.teacher_features import store_teacher_features

if __name__ == "__main__":
    run_stage(store_teacher_features)
