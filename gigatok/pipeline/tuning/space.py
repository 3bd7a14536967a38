"""What a tokenizer study tries: settings on grids, so that equal ones are trained once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial

from gigatok.config import Params, Section


class Setting(NamedTuple):
    """One point of the space."""

    semantic_weight: float
    entropy_weight: float
    learning_rate: float
    alignment_layer: int

    def overrides(self) -> dict[str, Any]:
        """As overrides of ``train_tokenizer``."""
        return {
            "loss": {"semantic_weight": self.semantic_weight, "entropy_weight": self.entropy_weight},
            "optimizer": {"learning_rate": self.learning_rate},
            "model": {"alignment_layer": self.alignment_layer},
        }


class Space(Section):
    """The grids. Values outside of the settings' bounds are refused when a trial's settings are read."""

    semantic_weights: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    entropy_weights: tuple[float, ...] = (0.0, 0.001, 0.01, 0.1)
    learning_rates: tuple[float, ...] = ()
    alignment_layers: tuple[int, ...] = ()

    @classmethod
    def around(cls, params: Params, name: str) -> Space:
        """The space of a tokenizer: learning rates around its own, every layer of its decoder."""
        training, entry = params.tokenizer_training(name), params.tokenizers[name]
        own = training.optimizer.learning_rate
        depth = training.model.sizes[entry.decoder].depth
        rates = tuple(float(f"{own * factor:.3g}") for factor in (0.25, 0.5, 1.0, 2.0, 4.0))
        return cls(learning_rates=rates, alignment_layers=tuple(range(1, depth + 1)))

    def suggest(self, trial: optuna.Trial) -> Setting:
        """A point for the trial."""
        trial.suggest_categorical("semantic_weight", self.semantic_weights)
        trial.suggest_categorical("entropy_weight", self.entropy_weights)
        trial.suggest_categorical("learning_rate", self.learning_rates)
        trial.suggest_categorical("alignment_layer", self.alignment_layers)
        return self.setting(trial.params)

    def setting(self, values: Mapping[str, Any]) -> Setting:
        """The point that a trial's parameters mean. Without semantic loss its layer has no effect: it is the first."""
        weight = float(values["semantic_weight"])
        layer = int(values["alignment_layer"]) if weight else self.alignment_layers[0]
        return Setting(weight, float(values["entropy_weight"]), float(values["learning_rate"]), layer)

    def points(self) -> list[dict[str, Any]]:
        """All points of the grids, as parameters of trials."""
        grids = (self.semantic_weights, self.entropy_weights, self.learning_rates, self.alignment_layers)
        return [dict(zip(Setting._fields, values, strict=True)) for values in product(*grids)]

    def start(self, params: Params, name: str) -> dict[str, Any]:
        """The tokenizer's own settings, as near as the grids have them: tried first."""
        training = params.tokenizer_training(name)
        wanted: dict[str, tuple[Sequence[float], float]] = {
            "semantic_weight": (self.semantic_weights, training.loss.semantic_weight),
            "entropy_weight": (self.entropy_weights, training.loss.entropy_weight),
            "learning_rate": (self.learning_rates, training.optimizer.learning_rate),
            "alignment_layer": (self.alignment_layers, training.model.alignment_layer),
        }
        return {key: _nearest(grid, own) for key, (grid, own) in wanted.items()}


def is_chosen(trial: FrozenTrial) -> bool:
    """Whether all settings of a trial are chosen: another worker may be choosing them."""
    return set(Setting._fields) <= trial.params.keys()


def _nearest(grid: Sequence[float], value: float) -> float:
    return min(grid, key=lambda each: abs(each - value))
