"""Two trainings are one if nothing that their result depends on differs; else they can say what does."""

from __future__ import annotations

import json

import pytest

from gigatok.artifacts import Difference, RunIdentity, describe_differences

SETTINGS = {"loss": {"l1_weight": 0.5, "shortcut": None, "betas": [0.9, 0.95]}, "steps": 8, "overrides": {}}
ONE = RunIdentity.of(SETTINGS, {"images": "a", "teacher": {"name": "x"}}, {"gigatok.models.vit": "1"})


def test_equal_parts_are_one_run_whatever_their_order() -> None:
    other = RunIdentity.of(dict(reversed(SETTINGS.items())), {"teacher": {"name": "x"}, "images": "a"}, ONE.modules)
    assert other == ONE
    assert other.fingerprint == ONE.fingerprint
    assert ONE.differences(other) == ()
    assert RunIdentity.read(json.loads(ONE.model_dump_json())) == ONE


def test_a_new_setting_that_is_off_makes_no_other_run() -> None:
    later = {**SETTINGS, "entropy_group": None}
    assert RunIdentity.of(later, {"images": "a", "teacher": {"name": "x"}}, ONE.modules).fingerprint == ONE.fingerprint


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"settings": {**ONE.settings, "loss.l1_weight": 0.25}}, "loss.l1_weight 0.5 -> 0.25"),
        ({"settings": {**ONE.settings, "loss.betas": [0.9, 0.99]}}, "loss.betas [0.9, 0.95] -> [0.9, 0.99]"),
        ({"settings": {**ONE.settings, "precision": "bf16"}}, 'precision (none) -> "bf16"'),
        ({"settings": {k: v for k, v in ONE.settings.items() if k != "steps"}}, "steps 8 -> (none)"),
        ({"inputs": {**ONE.inputs, "images": "b"}}, "input images"),
        ({"modules": {"gigatok.models.vit": "2"}}, "module gigatok.models.vit"),
        ({"modules": {}}, "module gigatok.models.vit"),
    ],
)
def test_what_differs_is_named(changed: dict[str, object], text: str) -> None:
    other = ONE.replace(**changed)
    assert other.fingerprint != ONE.fingerprint
    assert describe_differences(ONE.differences(other)) == text


def test_many_differences_are_one_line() -> None:
    many = tuple(Difference(kind="module", name=f"m{number}") for number in range(9))
    assert describe_differences(many) == "module m0, module m1, module m2, module m3, module m4, module m5 and 3 more"


@pytest.mark.parametrize("stored", [None, {}, [], "x", {"settings": 3}])
def test_what_is_no_identity_is_none(stored: object) -> None:
    assert RunIdentity.read(stored) is None
