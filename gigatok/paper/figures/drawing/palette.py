"""The colours, marks and order of recipes and tokenizers, for every figure.

Hue, marker and line tell the recipe, so that colour is never the only sign; lightness tells the size, larger is darker.
Hues are Okabe and Ito's, which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gigatok.config import Params
from gigatok.config.experiments import SIZE_ORDER, base_name, own_runs, without_regularization

Look = dict[str, Any]
"""Colour, marker and line, as matplotlib takes them."""

WITH: Look = {"color": "#0072B2", "marker": "o", "linestyle": "-"}
WITHOUT: Look = {"color": "#D55E00", "marker": "s", "linestyle": "-."}
OTHER: Look = {"color": "#009E73", "marker": "^", "linestyle": "--"}
"""A second series that differs in something else than regularization."""
OWN: Look = {"color": "#9E3D80", "marker": "D", "linestyle": ":"}
"""Tokenizers of one's own."""
FLOOR: Look = {"color": "#767676", "linestyle": (0, (4, 3)), "linewidth": 1.0}
INK, FAINT, WARNING = "#222222", "#5f5f5f", "#b3341a"

RECIPES = {
    "with semantic regularization": WITH,
    "without semantic regularization": WITHOUT,
    "your own": OWN,
}
"""Their names in legends, in their order."""
_SIZES = ("S-S", "B-S", *SIZE_ORDER[1:])
_LIGHTEST, _DARKEST = 0.33, -0.6
"""Share of white (of black, if negative) that is mixed into a recipe's colour for the smallest and the largest size."""


class Palette:
    """What the tokenizers of some settings look like."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._own = frozenset(own_runs(params).tokenizers)
        first = [*SIZE_ORDER, "B-S"]
        first += [without_regularization(name) for name in first]
        self._place = {name: at for at, name in enumerate(dict.fromkeys([*first, *params.tokenizers]))}

    def recipe(self, name: str) -> str:
        """One of ``RECIPES``."""
        with_it, without, own = RECIPES
        if name in self._own:
            return own
        if name not in self._params.tokenizers:
            return with_it if base_name(name) == name else without
        return with_it if self._params.tokenizer_training(name).loss.semantic_weight > 0 else without

    def tokenizer(self, name: str) -> Look:
        """Its recipe's look with the lightness of its size."""
        look = RECIPES[self.recipe(name)]
        entry = self._params.tokenizers.get(name)
        size = f"{entry.encoder}-{entry.decoder}" if entry else base_name(name)
        share = _SIZES.index(size) / (len(_SIZES) - 1) if size in _SIZES else 0.4
        return {**look, "color": mixed(look["color"], _LIGHTEST + share * (_DARKEST - _LIGHTEST))}

    def ordered(self, names: Iterable[str]) -> list[str]:
        """As every figure and legend lists them: regularized by size, then without, then in the settings' order."""
        return sorted(dict.fromkeys(names), key=lambda name: (self._place.get(name, len(self._place)), name))


def mixed(color: str, share: float) -> str:
    """A colour with that share of white in it, of black if the share is negative."""
    from matplotlib.colors import to_hex, to_rgb

    end = 1.0 if share > 0 else 0.0
    red, green, blue = (part + abs(share) * (end - part) for part in to_rgb(color))
    return str(to_hex((red, green, blue)))
