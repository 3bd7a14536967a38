"""Scores of any images against any others: folders, arrays or stored statistics, by any extractor and protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import gigatok
from gigatok.artifacts import FewSamples, Provenance, Score, ScoreSheet, git_state
from gigatok.artifacts.sheets.scores import InputSet
from gigatok.config import ConfigError, GigatokError
from gigatok.data.image_files import files_text
from gigatok.data.images import TRAIT_RULES
from gigatok.evaluation.extractors.base import Progress
from gigatok.evaluation.extractors.registry import load_extractor
from gigatok.evaluation.inputs.evaluation_set import EvaluationSet
from gigatok.evaluation.inputs.pairs import pair_up
from gigatok.evaluation.protocols import EvaluationProtocol, find_protocol
from gigatok.evaluation.scoring.measure import ALL_METRICS, LIMIT
from gigatok.evaluation.scoring.pair import (
    EvaluateOptions,
    ScoringTask,
    feature_scores,
    perceptual_scores,
    pixel_scores,
)


def evaluate(
    samples: EvaluationSet, reference: EvaluationSet, options: EvaluateOptions, progress: Progress | None = None
) -> ScoreSheet:
    """All metrics that the inputs allow; the sheet's notes say why others are absent.

    Args:
        samples: must hold images
        reference: images, or statistics in ADM's layout (made by the same extractor: nothing in the file says so)

    Raises:
        ConfigError: an unknown name, or stored statistics that do not go with the extractor or protocol.
        GigatokError: nothing can be measured: the extractor's weights are missing and no score does without (those
            of reconstructions do); or reconstructions do not match their originals.
    """
    protocol = find_protocol(options.protocol)
    reference, notes = usable_reference(reference, protocol, options.extractor, paired=options.reconstructions)
    paired_by: Literal["name", "row"] | None = None
    if options.reconstructions:
        samples, paired_by = pair_up(samples, reference)
    task = ScoringTask(samples, reference, protocol, options)
    if options.reconstructions:
        task.require_pairs()
    inputs = (_input(samples, "samples", paired_by), _input(reference, "reference"))
    scores, absent, few = _feature_scores(task, progress)
    notes = [*_said_of(samples), *_said_of(reference), *notes, *absent]
    for more, reasons in (pixel_scores(task), perceptual_scores(task)) if options.reconstructions else ():
        scores, notes = [*scores, *more], [*notes, *reasons]
    if not scores:
        raise GigatokError(f"nothing could be measured: {'; '.join(notes)}")
    if samples.order in ("folders", "classes") and any(s.metric.startswith("inception_score") for s in scores):
        notes.append(
            f"inception_score: the samples lie in the order of their {samples.order}, so each of its splits holds few "
            "classes and the score is too low: shuffle them"
        )
    commit, dirty = git_state(Path(gigatok.__file__).parent)
    source = Provenance(commit=commit, dirty=dirty)
    return ScoreSheet(
        name=samples.name,
        kind="evaluation",
        scores=tuple(score.replace(provenance=source) for score in scores),
        few_samples=few,
        notes=(f"protocol {protocol.name}: {protocol.summary}", *notes),
        inputs=inputs,
    )


def _input(
    images: EvaluationSet, role: Literal["samples", "reference"], paired_by: Literal["name", "row"] | None = None
) -> InputSet:
    return InputSet(
        role=role,
        name=images.name,
        images=None if images.images is None else len(images.images),
        order=images.order,
        paired_by=paired_by,
        linked=images.linked,
        left_out=dict(images.left_out),
        traits=dict(images.traits),
    )


def _said_of(images: EvaluationSet) -> list[str]:
    """What a reader should know of a set: files that were left out, pixels that could be read otherwise."""
    notes = []
    if images.images is not None and (images.left_out or images.linked):
        notes.append(
            f"{images.name}: {files_text(len(images.images), images.linked, images.left_out, images.examples)}"
        )
    for trait, count in images.traits.items():
        rule = TRAIT_RULES[trait]
        if trait == "transparency" and images.transparency == "dropped":
            rule = "the alpha channel is dropped and the stored colours are taken"
        notes.append(f"{images.name}: {count} images with {trait}: {rule}")
    return notes


def _feature_scores(task: ScoringTask, progress: Progress | None) -> tuple[list[Score], list[str], FewSamples | None]:
    """Scores by the extractor. Reconstructions have others too, which are not lost where its weights are missing."""
    options = task.options
    try:
        extractor = load_extractor(
            options.extractor, weights=options.weights, image_size=options.extractor_size, device=options.device
        )
    except ConfigError:
        raise
    except GigatokError as reason:
        if not options.reconstructions:
            raise
        names = [*ALL_METRICS, *([LIMIT] if options.limit else [])]
        return [], [f"{', '.join(names)} are absent: {reason}"], None
    return feature_scores(task, task.protocol.prepared(extractor), progress)


def usable_reference(
    reference: EvaluationSet, protocol: EvaluationProtocol, extractor: str, *, paired: bool = False
) -> tuple[EvaluationSet, list[str]]:
    """``reference`` without stored statistics that its images must stand for, and a note that says why.

    Args:
        paired: the images are the originals of reconstructions, whose distance is between the two sets of images

    Raises:
        ConfigError: there are statistics alone, and they do not go with the extractor or the protocol.
    """
    if reference.moments is None:
        return reference, []
    if extractor != "inception-2015":
        rule, fix = "of Inception features", "use extractor inception-2015"
    elif not protocol.takes_statistics:
        rule = f"made with TensorFlow's resize, and protocol {protocol.name} has another"
        fix = "use --protocol adm"
    elif paired and reference.images is not None:
        rule, fix = "not those of the originals alone", ""
    else:
        return reference, []
    if reference.images is None:
        raise ConfigError(f"the statistics in {reference.name} are {rule}: {fix}, or a reference with images")
    note = f"the statistics in {reference.name} are left out: they are {rule}; the reference is its images"
    return reference.without_statistics(), [note]
