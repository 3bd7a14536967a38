"""Names in, networks out; unknown names and needless weights are refused."""

from pathlib import Path

import pytest

from gigatok.config import ConfigError
from gigatok.config.sections import PERCEPTUAL_NETWORKS, TEACHER_PATCHES
from gigatok.teachers import TEACHERS, load_perceptual, load_teacher
from gigatok.teachers.registry import EFFICIENTNET_TEACHERS
from gigatok.teachers.vit import VIT_TEACHERS


def test_the_names_and_patches_that_settings_know_are_those_that_are_loaded():
    assert (*EFFICIENTNET_TEACHERS, *VIT_TEACHERS) == TEACHERS
    assert {name: source.patch for name, source in VIT_TEACHERS.items()} == TEACHER_PATCHES


def test_unknown_names_list_the_known():
    with pytest.raises(ConfigError, match=", ".join(TEACHERS)):
        load_teacher("resnet", image_size=128)
    with pytest.raises(ConfigError, match=", ".join(PERCEPTUAL_NETWORKS)):
        load_perceptual("alex")


def test_weights_are_refused_where_the_package_has_them():
    with pytest.raises(ConfigError, match=r"teacher\.weights"):
        load_teacher("efficientnet-lite0", weights=Path("x"), image_size=128)
    with pytest.raises(ConfigError, match=r"loss\.perceptual_weights"):
        load_perceptual("efficientnet-lite0", weights=Path("x"))
