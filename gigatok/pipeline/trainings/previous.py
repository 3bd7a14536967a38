"""What lay in a model's place before: the run that was set aside last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gigatok.config import ConfigError
from gigatok.pipeline.trainings.comparison import ScorePair, compare_scores
from gigatok.pipeline.trainings.listing import MAIN_SCORES, Training, list_trainings, trainings_that_fit


def find_with_previous(root: Path, given: str) -> tuple[Training, Training]:
    """The training that ``given`` names, and the one that its name had before.

    Of a tokenizer and a generator of that name it is the tokenizer, unless the generator alone has a set-aside run.

    Args:
        root: the project.
        given: see ``find_training``.

    Raises:
        ConfigError: ``given`` fits none or several, or nothing of its name was set aside.
    """
    every = list_trainings(root)
    fitting = trainings_that_fit(every, given)
    for training in fitting:
        before = previous(every, training)
        if before is not None:
            return training, before
    raise ConfigError(f"run {fitting[0].place}: no other run of its name was set aside: name a second one")


def all_with_previous(root: Path) -> list[tuple[Training, Training]]:
    """Each model's run and the one that its name had before; models of which none was set aside are left out."""
    every = list_trainings(root)
    present = (each for each in every if each.state in ("finished", "unfinished"))
    return [(each, before) for each in present if (before := previous(every, each)) is not None]


def previous(every: Sequence[Training], training: Training) -> Training | None:
    """The run of its name that was set aside last, a finished one where there is any; ``None``: there is no other."""
    aside = [each for each in every if each.state == "set aside" and each.place != training.place
             and (each.kind, each.name) == (training.kind, training.name)]  # fmt: skip
    return max(aside, key=lambda each: (each.finished, each.number), default=None)


def main_score_pairs(left: Training, right: Training) -> dict[str, ScorePair]:
    """The scores of a line of ``runs`` side by side: metric without its extractor to both scores and the verdict.

    Of several extractors, the last one that both were scored with.
    """
    found = sorted(compare_scores(left, right), key=lambda pair: pair.verdict != "only one")
    return {key: pair for key in MAIN_SCORES[left.kind] for pair in found if pair.metric.partition("/")[0] == key}
