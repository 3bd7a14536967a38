"""``params.yaml``: read once at the edge, checked as a whole, resolved to one tokenizer or generator at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import ValidationError, model_validator

from gigatok.config.base import ConfigError, Section
from gigatok.config.evaluation import EvaluateGeneratorSection, EvaluateTokenizerSection, ReferenceSection
from gigatok.config.launch import LaunchSection
from gigatok.config.models import ArConfig, TokenizerConfig
from gigatok.config.reading import read_yaml
from gigatok.config.repeats import seed_problems
from gigatok.config.sections import (
    BaseSection,
    GeneratorEntry,
    PrepareSection,
    ReportSection,
    TeacherSection,
    TokenizerEntry,
    TrackingSection,
    TrainGeneratorSection,
    TrainTokenizerSection,
)

RUNGS = {"s": "S-S", "b": "S-B", "l": "B-L", "xl": "L-XL", "3b": "XL-XXL"}
"""The command line's size names and the tokenizers they mean. ``xl`` is ours, between two of the paper's."""

_SHOWN = 80
"""Characters of a wrong value in an error."""

T = TypeVar("T")
SectionT = TypeVar("SectionT", bound=Section)


class Params(Section):
    """The whole of ``params.yaml``."""

    profile: Literal["smoke", "nano", "mini", "paper"]
    suite: Literal["core", "full"]
    base: BaseSection
    launch: LaunchSection = LaunchSection()
    prepare: PrepareSection
    teacher: TeacherSection
    reference: ReferenceSection
    train_tokenizer: TrainTokenizerSection
    evaluate_tokenizer: EvaluateTokenizerSection
    train_generator: TrainGeneratorSection
    evaluate_generator: EvaluateGeneratorSection
    report: ReportSection
    tracking: TrackingSection
    tokenizers: dict[str, TokenizerEntry]
    generators: dict[str, GeneratorEntry]

    def tokenizer_training(self, name: str) -> TrainTokenizerSection:
        """``train_tokenizer`` with the overrides of tokenizer ``name`` applied."""
        entry = _entry(self.tokenizers, name, "tokenizers")
        return _overridden(self.train_tokenizer, entry.overrides, f"tokenizers.{name}.overrides")

    def tokenizer_teacher(self, name: str) -> TeacherSection:
        """The semantic encoder of tokenizer ``name``: ``teacher``, or its own, which nothing is stored of."""
        entry = _entry(self.tokenizers, name, "tokenizers")
        if not entry.teacher:
            return self.teacher
        # Weights belong to a network: another one does not inherit them.
        weights = {"weights": None} if entry.teacher.get("name", self.teacher.name) != self.teacher.name else {}
        own = {**weights, **entry.teacher, "cache": False}
        return _overridden(self.teacher, own, f"tokenizers.{name}.teacher")

    def tokenizer_model(self, name: str, *, alignment_dim: int) -> TokenizerConfig:
        """Architecture of tokenizer ``name``; ``alignment_dim`` is the teacher's feature width."""
        entry = _entry(self.tokenizers, name, "tokenizers")
        training = self.tokenizer_training(name)
        model = training.model
        shape = model.model_dump(exclude={"sizes", "alignment_layer"})
        return TokenizerConfig(
            **shape,
            image_size=self.prepare.image_size,
            encoder=_entry(model.sizes, entry.encoder, "train_tokenizer.model.sizes"),
            decoder=_entry(model.sizes, entry.decoder, "train_tokenizer.model.sizes"),
            alignment_layer=model.alignment_layer if training.loss.semantic_weight else None,
            alignment_dim=alignment_dim,
        )

    def training_seed(self, kind: Literal["tokenizer", "generator"], name: str) -> int:
        """Seed with which that tokenizer or generator is trained."""
        entry: TokenizerEntry | GeneratorEntry = (
            _entry(self.tokenizers, name, "tokenizers")
            if kind == "tokenizer"
            else _entry(self.generators, name, "generators")
        )
        return self.base.seed if entry.seed is None else entry.seed

    def seeded(self, kind: Literal["tokenizer", "generator"], name: str) -> Params:
        """These settings with the seed of that training in the place of ``base.seed``."""
        seed = self.training_seed(kind, name)
        return self.model_copy(update={"base": self.base.model_copy(update={"seed": seed})})

    def tokenizer_launch(self, name: str) -> LaunchSection:
        """``launch`` with what tokenizer ``name`` overrides of it applied."""
        entry = _entry(self.tokenizers, name, "tokenizers")
        return _overridden(self.launch, entry.launch, f"tokenizers.{name}.launch")

    def generator_launch(self, name: str) -> LaunchSection:
        """``launch`` with what generator ``name`` overrides of it applied."""
        entry = _entry(self.generators, name, "generators")
        return _overridden(self.launch, entry.launch, f"generators.{name}.launch")

    def generator_training(self, name: str) -> TrainGeneratorSection:
        """``train_generator`` with the overrides of generator ``name`` applied."""
        entry = _entry(self.generators, name, "generators")
        return _overridden(self.train_generator, entry.overrides, f"generators.{name}.overrides")

    def generator_evaluation(self, name: str) -> EvaluateGeneratorSection:
        """``evaluate_generator`` with what generator ``name`` overrides of it applied."""
        entry = _entry(self.generators, name, "generators")
        return _overridden(self.evaluate_generator, entry.evaluation, f"generators.{name}.evaluation")

    def generator_model(self, name: str, *, tokens: int, codebook_size: int, classes: int) -> ArConfig:
        """Architecture of generator ``name`` for a tokenizer's rate and the data's classes."""
        entry = _entry(self.generators, name, "generators")
        training = self.generator_training(name)
        size = _entry(training.sizes, entry.size, "train_generator.sizes")
        return ArConfig(
            **size.model_dump(),
            ffn_multiple_of=training.ffn_multiple_of,
            codebook_size=codebook_size,
            num_tokens=tokens,
            num_classes=classes,
            dropout=training.dropout,
            class_dropout=training.class_dropout,
        )

    @model_validator(mode="after")
    def _entries_fit(self) -> Self:
        problems = [*self._name_problems(), *self._tokenizer_problems(), *self._generator_problems()]
        problems += seed_problems(self)
        if problems:
            raise ValueError("; ".join(dict.fromkeys(problems)))
        return self

    def _name_problems(self) -> list[str]:
        return [
            f"name {name!r} may hold letters, digits and '-' only (DVC reads a dot as a path)"
            for name in dict.fromkeys((*self.tokenizers, *self.generators))
            if not (name.isascii() and name.replace("-", "").isalnum())
        ]

    def _tokenizer_problems(self) -> list[str]:
        problems = []
        augmented = self.prepare.augmentation != "none"
        for name in self.tokenizers:
            try:
                self.tokenizer_model(name, alignment_dim=1)
                self.tokenizer_launch(name)
                training, teacher = self.tokenizer_training(name), self.tokenizer_teacher(name)
            except ValidationError as error:
                problems.append(f"tokenizers.{name}: {describe(error)}")
            except ConfigError as error:
                problems.append(str(error))
            else:
                problems += _unreached(training, f"tokenizer {name}")
                if augmented and teacher.cache and training.loss.semantic_weight > 0:
                    problems.append(
                        "teacher.cache is true but prepare.augmentation changes the images: set teacher.cache to false"
                    )
        return problems

    def _generator_problems(self) -> list[str]:
        problems = []
        for name, generator in self.generators.items():
            if generator.tokenizer not in self.tokenizers:
                problems.append(
                    f"generators.{name}.tokenizer {generator.tokenizer!r} is not one of {sorted(self.tokenizers)}"
                )
                continue
            try:
                self.generator_model(name, tokens=1, codebook_size=2, classes=1)
                self.generator_evaluation(name)
                self.generator_launch(name)
                problems += _unreached(self.generator_training(name), f"generator {name}")
                kept = self.tokenizer_training(generator.tokenizer).keep_steps
            except ValidationError as error:
                problems.append(f"generators.{name}: {describe(error)}")
            except ConfigError as error:
                problems.append(str(error))
            else:
                if generator.checkpoint not in ("final", *kept):
                    problems.append(
                        f"generators.{name}.checkpoint = {generator.checkpoint} is not in keep_steps {kept} of "
                        f"tokenizer {generator.tokenizer}: add it there or choose one of those"
                    )
        return problems


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read and check a parameter file.

    Raises:
        ConfigError: the file is missing, is not YAML, or breaks a rule; all broken rules are listed at once.
    """
    return parse_params(read_yaml(path, fix="write one with 'gigatok-bench profile nano'"), source=str(path))


def parse_params(values: Mapping[str, Any], source: str = "params") -> Params:
    """``Params`` from a mapping, with one readable line for each broken rule."""
    if not isinstance(values, Mapping):
        found = "nothing" if values is None else f"a {type(values).__name__}"
        raise ConfigError(f"{source} holds {found}, not sections: write it with 'gigatok-bench profile nano'")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe(error)}") from None


def describe(error: ValidationError) -> str:
    """All problems of a validation error as ``setting = value: rule``, separated by semicolons."""
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        value, rule = problem["input"], problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            rule = "is no setting: remove it or correct its name"
        hidden = isinstance(value, (dict, list, Section)) or problem["type"] == "missing"
        shown = repr(value)[:_SHOWN]
        lines.append(f"{where}{'' if hidden else f' = {shown}'}: {rule}" if where else rule)
    return "; ".join(lines)


def fingerprint(*parts: object) -> str:
    """Hex sha256 (first 16 digits) of settings and strings: equal inputs, equal fingerprint."""
    plain = [part.model_dump(mode="json") if isinstance(part, Section) else part for part in parts]
    text = json.dumps(plain, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _overridden(section: SectionT, overrides: Mapping[str, Any], setting: str) -> SectionT:
    """``section`` with an entry's overrides laid over it, checked as a whole."""
    try:
        return type(section).model_validate(merge(section.model_dump(), overrides))
    except ValidationError as error:
        raise ConfigError(f"{setting}: {describe(error)}") from None


def _unreached(section: TrainTokenizerSection | TrainGeneratorSection, run: str) -> list[str]:
    """What is wrong with ``keep_steps`` that the training never makes; empty: nothing."""
    never = [step for step in section.keep_steps if step > section.steps]
    if not never:
        return []
    return [f"keep_steps {never} of {run} are not in 1..{section.steps} (its steps): remove them or train longer"]


def _entry(table: Mapping[str, T], name: str, setting: str) -> T:
    if name not in table:
        raise ConfigError(f"{setting} has no {name!r}: known are {', '.join(table)}")
    return table[name]


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with nested mappings of ``overrides`` laid over it."""
    merged = dict(base)
    for key, value in overrides.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if nested else value
    return merged
