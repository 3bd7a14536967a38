"""One metric of one recipe in every training of it, and what is known of the noise of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gigatok.artifacts import Score
from gigatok.paper.results.metrics import full_name, owner
from gigatok.paper.results.reader import Results
from gigatok.paper.results.run import Run
from gigatok.paper.results.statistics import Noise, image_variance, interval_variance


@dataclass(frozen=True)
class Trainings:
    """The scores of one recipe, one a training."""

    name: str
    score: Score
    """The mean over trainings, or the only one."""
    singles: tuple[Score, ...]
    images: npt.NDArray[np.float64] | None = None
    """(trainings, n) what each image adds to each score; ``None`` where a run has no such record."""
    tokenizers: tuple[str, ...] = ()
    """sha256 of the tokenizer's weights behind each training; empty: not known of all."""

    @property
    def values(self) -> tuple[float, ...]:
        """One value a training."""
        return tuple(score.value for score in self.singles)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """Training seeds, in the order of the values."""
        return tuple(score.provenance.seed for score in self.singles)

    @property
    def first(self) -> Trainings:
        """The first training alone."""
        return self.only([0])

    def only(self, places: Sequence[int]) -> Trainings:
        """Some of the trainings, at least one, with the mean over them (of several without an interval)."""
        singles = tuple(self.singles[place] for place in places)
        mean = self.score.replace(value=float(np.mean([each.value for each in singles])), interval=None)
        return replace(
            self,
            score=singles[0] if len(singles) == 1 else mean,
            singles=singles,
            images=None if self.images is None else self.images[list(places)],
            tokenizers=tuple(self.tokenizers[place] for place in places) if self.tokenizers else (),
        )

    @property
    def standard_error(self) -> float:
        """Of the mean over trainings; of one training what its interval says, which other trainings do not enter."""
        if len(self.singles) > 1:
            return float(np.std(self.values, ddof=1) / np.sqrt(len(self.values)))
        low, high = self.score.interval or (self.score.value, self.score.value)
        return (high - low) / 3.92


def read_trainings(results: Results, name: str, metric: str) -> Trainings | None:
    """The trainings of a run's metric, given by key or full name; ``None``: not run, or not measured."""
    return trainings_of(results.run(owner(metric), name), metric)


def trainings_of(run: Run, metric: str) -> Trainings | None:
    """The same of a run that was read."""
    named = {score.metric: score for score in run.scores}
    found = full_name(named, metric)
    if found is None:
        return None
    singles = _having(run, found)
    scores = tuple(next(score for score in each.scores if score.metric == found) for each in singles)
    return Trainings(run.name, named[found], scores, _images(singles, found), _tokenizers(singles))


def same_trainings(left: Trainings, right: Trainings) -> tuple[Trainings, Trainings] | None:
    """Both sides over the tokenizers that they share, told by their weights, or by seeds where those are not known.

    ``None``: they share none, so that they make no pair.
    """
    known = left.tokenizers and right.tokenizers
    of_left, of_right = (left.tokenizers, right.tokenizers) if known else (left.seeds, right.seeds)
    if set(of_left) == set(of_right):
        return left, right
    places = [[at for at, each in enumerate(of_left) if each in of_right]]
    places.append([at for at, each in enumerate(of_right) if each in of_left])
    return (left.only(places[0]), right.only(places[1])) if all(places) else None


def floor_values(run: Run, metric: str, floor: str) -> tuple[float, ...] | None:
    """A floor of a metric (full name) that each training made itself, in the order of ``trainings_of``.

    ``None`` where a training has none: the floor is then of other runs, the same for all.
    """
    floors = [
        next((each.value for each in single.floors if (each.metric, each.floor) == (metric, floor)), None)
        for single in _having(run, metric)
    ]
    known = tuple(each for each in floors if each is not None)
    return known if known and len(known) == len(floors) else None


def _having(run: Run, metric: str) -> list[Run]:
    """The trainings of a run that have a score of a metric."""
    return [each for each in (run.repeats or (run,)) if metric in {score.metric for score in each.scores}]


def noise_of_images(left: Trainings, right: Trainings) -> Noise | None:
    """What other images would change in the difference of two means over trainings.

    ``None`` for metrics of samples: each training's are drawn anew, so the spread over trainings holds their noise.
    """
    if left.score.protocol.sampler is not None:
        return None
    if left.images is not None and right.images is not None and left.images.shape[1] == right.images.shape[1]:
        return image_variance(left.images, right.images)
    parts = [noise_against_constant(side) for side in (left, right)]
    variance = sum(part.variance for part in parts if part is not None)
    return Noise(variance, np.inf) if variance else None


def noise_against_constant(trainings: Trainings) -> Noise | None:
    """What other images would change in the mean over trainings: the mean of what its scores' own intervals say.

    ``None`` for metrics of samples, and for scores without intervals.
    """
    if trainings.score.protocol.sampler is not None:
        return None
    whole = interval_variance(*(score.interval for score in trainings.singles))
    return Noise(whole.variance / len(trainings.singles), np.inf) if whole.variance else None


def _tokenizers(runs: Sequence[Run]) -> tuple[str, ...]:
    weights = [each.sheet.weights if each.sheet else {} for each in runs]
    found = [next((sha for name, sha in each.items() if name.startswith("tokenizers/")), "") for each in weights]
    return tuple(found) if all(found) else ()


def _images(runs: list[Run], metric: str) -> npt.NDArray[np.float64] | None:
    values = [run.details.get(f"images/{metric}") for run in runs]
    known = [np.asarray(each, dtype=np.float64) for each in values if each is not None]
    if len(known) < len(runs) or len({len(each) for each in known}) != 1:
        return None
    return np.stack(known)
