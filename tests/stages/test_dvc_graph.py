"""``dvc.yaml`` names all code and settings that a stage uses, and none that would re-run it for nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from gigatok.config import Params

pytestmark = pytest.mark.long(25)

ROOT = Path(__file__).parents[2]
STAGES = ("criteria", "prepare", "teacher", "reference", "train_tokenizer", "evaluate_tokenizer", "train_generator",
          "evaluate_generator", "timing", "report")  # fmt: skip

PLUMBING = {
    "gigatok": "its docstring",
    "gigatok.artifacts": "how files are written; what is in them comes from elsewhere",
    "gigatok.config": "settings reach DVC by value, as params",
    "gigatok.tracking": "shows progress and mirrors journals; no output depends on it",
    "gigatok.interop": "native.py is named; the importers of released checkpoints are loaded beside it, never called",
}
"""Code that may be loaded without being a dependency, and why."""
_DINO = {"gigatok.models": "the discriminator on DINO, loaded with the package of teachers; no teacher uses it"}
BESIDE = {"teacher": _DINO, "reference": _DINO}
"""The same, for one stage."""

NOT_DECLARED = {
    "tracking": "a view: switching it changes no output",
    "launch": "how many processes train: results agree to rounding, and a trained model is not trained again",
    "prepare": "reaches the stage in runs/data",
    "teacher": "of a scoring stage: names what its inputs were made with, which are dependencies",
    "tokenizers": "of a stage behind training: settings of its inputs, which are dependencies",
    "train_tokenizer": "of a stage behind training: settings of its inputs, which are dependencies",
    "train_generator": "of a stage behind training: settings of its inputs, which are dependencies",
    "generators": "of the scoring stage: settings of its inputs, which are dependencies",
}
"""Settings that some stages read without declaring them, and why."""
MUST_DECLARE = {
    "criteria": {"tokenizers", "generators", "train_tokenizer"},
    "prepare": {"prepare", "base", "profile"},
    "teacher": {"teacher", "base", "train_tokenizer"},
    "reference": {"reference", "base", "profile", "train_tokenizer", "evaluate_tokenizer"},
    "train_tokenizer": {"train_tokenizer", "tokenizers", "teacher", "base"},
    "evaluate_tokenizer": {"evaluate_tokenizer", "reference", "train_tokenizer", "base", "profile"},
    "train_generator": {"train_generator", "generators", "base"},
    "evaluate_generator": {"evaluate_generator", "reference", "base", "profile"},
    "timing": {"profile", "base", "prepare", "train_tokenizer", "train_generator"},
    "report": set(Params.model_fields) - {"tracking", "launch", "evaluate_tokenizer"},
}
METHODS = {
    "training_seed": {"base", "tokenizers", "generators"},
    "seeded": {"base", "tokenizers", "generators"},
    "tokenizer_launch": {"launch", "tokenizers"},
    "generator_launch": {"launch", "generators"},
    "tokenizer_training": {"train_tokenizer", "tokenizers"},
    "tokenizer_teacher": {"teacher", "tokenizers"},
    "tokenizer_model": {"prepare", "train_tokenizer", "tokenizers"},
    "generator_training": {"train_generator", "generators"},
    "generator_evaluation": {"evaluate_generator", "generators"},
    "generator_model": {"train_generator", "generators"},
}
"""Methods of ``Params`` and the sections they read."""


def stage(name: str) -> dict[str, Any]:
    """The stage's entry, of one item where there are several."""
    entry: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][name]
    inner: dict[str, Any] = entry.get("do", entry)
    return inner


def code_deps(name: str) -> list[str]:
    """Dependencies that are code."""
    return [dep for dep in stage(name)["deps"] if dep.startswith(("gigatok", "stages"))]


def loaded(name: str) -> dict[str, str]:
    """Modules of the package that the stage's script loads, and their files relative to the root."""
    found = {module: file for module, file in all_loaded()[name].items() if module.split(".")[0] == "gigatok"}
    return {module: str(Path(file).relative_to(ROOT)) for module, file in found.items()}


@cache
def all_loaded() -> dict[str, dict[str, str]]:
    """All modules that each script loads: one process imports what is slow, then each script has a fork of its own."""
    program = (
        "import importlib, os, sys\n"
        "import pydantic, pyarrow.parquet, scipy.linalg, torch, yaml\n"
        "sys.path.insert(0, 'stages')\n"
        "for name in sys.argv[1:]:\n"
        "    if os.fork():\n"
        "        if os.wait()[1]: sys.exit(f'{name} cannot be imported')\n"
        "        continue\n"
        "    importlib.import_module(name)\n"
        "    for key, module in sorted(sys.modules.items()):\n"
        "        print(name, key, getattr(module, '__file__', None), sep='\\t')\n"
        "    sys.stdout.flush()\n"
        "    os._exit(0)\n"  # taking down all that was imported takes longer than the script's own imports
    )
    command = [sys.executable, "-c", program, *STAGES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {name: {} for name in STAGES}
    for line in done.stdout.splitlines():
        name, module, file = line.split("\t")
        found[name][module] = file
    return found


@cache
def imported_later(file: str) -> set[str]:
    """Files of the package that functions of ``file`` import when they are called."""
    tree = ast.parse((ROOT / file).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = [node.module for function in functions for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
    return {file_of(module) for module in found if module and module.startswith("gigatok.")}


def file_of(module: str) -> str:
    """``gigatok.models.ar`` -> ``gigatok/models/ar.py``; a package -> its ``__init__.py``."""
    path = ROOT / module.replace(".", "/")
    return str((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).relative_to(ROOT))


def package_of(file: str) -> str:
    """``gigatok/models/ar.py`` -> ``gigatok.models``."""
    return ".".join(Path(file).with_suffix("").parts[:2])


def holds_no_code(file: str) -> bool:
    """Whether a package's file is its docstring alone, or (evaluation's) names that are looked up on first use."""
    body = ast.parse((ROOT / file).read_text()).body
    return file == "gigatok/evaluation/__init__.py" or (
        file.endswith("__init__.py") and all(isinstance(node, ast.Expr) for node in body)
    )


def is_named(path: str, deps: list[str]) -> bool:
    """Whether ``path`` is a dependency or lies in one."""
    return any(path == dep or path.startswith(f"{dep}/") for dep in deps)


@pytest.mark.parametrize("name", STAGES)
def test_all_code_that_a_stage_loads_is_a_dependency(name: str) -> None:
    deps, modules = code_deps(name), loaded(name)
    allowed = {**PLUMBING, **BESIDE.get(name, {})}
    missing = {
        module
        for module, file in modules.items()
        if not is_named(file, deps) and ".".join(module.split(".")[:2]) not in allowed
        and not holds_no_code(file)
    }  # fmt: skip
    assert missing == set()
    if "gigatok.interop" in modules:
        assert "gigatok/interop/native.py" in deps
    later = set().union(*(imported_later(file) for file in modules.values()))
    assert {file for file in later if package_of(file) not in allowed and not is_named(file, deps)} == set()


@pytest.mark.parametrize("name", STAGES)
def test_every_dependency_exists_and_is_used(name: str) -> None:
    files = loaded(name).values()
    assert stage(name)["deps"][0] == f"stages/{name}.py"
    later = {other for file in files for other in imported_later(file)}
    for dep in code_deps(name)[1:]:
        assert (ROOT / dep).exists(), dep
        settings = dep.endswith(".yaml")  # see below
        assert settings or any(is_named(file, [dep]) for file in (*files, *later)), dep


def test_the_report_depends_on_what_it_compares_settings_with() -> None:
    """It says in what a profile differs from the built-in profile ``paper``, and which runs a suite has."""
    config = {Path(file).name for module, file in loaded("report").items() if module.startswith("gigatok.config")}
    named = {Path(dep).name for dep in code_deps("report") if dep.startswith("gigatok/config")}
    assert {"profiles.py", "suites.py", "repeats.py", "experiments.py"} <= config & named
    assert "paper.yaml" in named


def test_the_floor_depends_on_all_that_sets_its_rate() -> None:
    """Patches of k-means are as many as tokens: of a 2D tokenizer, what the CNN leaves of the image."""
    assert "train_tokenizer.model.cnn" in stage("reference")["params"]


@pytest.mark.parametrize("name", ["prepare", "teacher", "reference"])
def test_an_edited_loss_profile_or_recipe_concerns_no_data_stage(name: str) -> None:
    edited = ("gigatok/losses/alignment.py", "gigatok/training/tokenizer_recipe.py", "gigatok/models/tokenizer.py")
    assert not [file for file in edited if is_named(file, code_deps(name))]
    assert "gigatok.losses" not in loaded(name)
    assert is_named("gigatok/losses/alignment.py", code_deps("train_tokenizer"))


@pytest.mark.parametrize("name", STAGES)
def test_a_changed_default_re_runs_whatever_may_read_it(name: str) -> None:
    settings = {"gigatok/config/params.py", "gigatok/config/sections.py"}
    if {"reference", "evaluate_tokenizer", "evaluate_generator"} & {str(param) for param in stage(name)["params"]}:
        settings.add("gigatok/config/evaluation.py")
    if any(str(param).split(".")[0] == "train_tokenizer" for param in stage(name)["params"]):
        settings.add("gigatok/config/models.py")
    assert settings <= set(code_deps(name))


@pytest.mark.parametrize("name", STAGES)
def test_profiles_and_metrics_re_run_no_training(name: str) -> None:
    assert not is_named("gigatok/config/profiles/nano.yaml", code_deps(name))
    if name.startswith("train_"):
        assert not is_named("gigatok/evaluation/metrics/frechet.py", code_deps(name))
        assert "gigatok.evaluation" not in loaded(name)
    if name == "train_generator":
        assert not {"gigatok.losses", "gigatok.teachers"} & set(loaded(name))


@pytest.mark.parametrize("name", STAGES)
def test_no_stage_waits_for_a_library_that_it_may_not_need(name: str) -> None:
    """timm and torchvision alone took as long as all else: they bring torch's compiler."""
    slow = {"timm", "torchvision", "pytorch_fid", "huggingface_hub", "mlflow", "optuna", "pandas", "dvc", "sklearn"}
    if not name.startswith("train_"):  # an optimizer's first step loads the compiler in any case
        slow |= {"torch._dynamo", "torch.distributed.tensor", "sympy", "scipy.optimize", "scipy.stats"}
    if name in ("criteria", "prepare", "report"):
        slow.add("gigatok.teachers")
    assert slow & set(all_loaded()[name]) == set()


def sections_read(file: str) -> set[str]:
    """Sections of ``params`` that a module reads, itself or through methods of ``Params``."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params":
            found |= METHODS.get(node.attr, {node.attr})
    return found & set(Params.model_fields)


@pytest.mark.parametrize("name", STAGES)
def test_all_settings_that_a_stage_reads_are_declared(name: str) -> None:
    declared = {str(param).split(".")[0] for param in stage(name)["params"]}
    assert declared <= set(Params.model_fields)
    assert MUST_DECLARE[name] <= declared
    files = [f"stages/{name}.py"]
    files += [
        file for module, file in loaded(name).items() if not module.startswith(("gigatok.config", "gigatok.track"))
    ]
    read = set().union(*(sections_read(file) for file in files))
    assert read - declared - set(NOT_DECLARED) == set()
    assert read >= MUST_DECLARE[name] - {"generators", "tokenizers", "base", "evaluate_tokenizer", "reference", "suite"}


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_training_keeps_what_is_there_and_depends_on_one_entry_only(kind: str) -> None:
    entry = stage(f"train_{kind}")
    outs = {name: options for out in entry["outs"] for name, options in out.items()}
    assert all(options == {"persist": True} for options in outs.values())
    expected = {"weights.safetensors", "config.json", "curves.json"}
    expected |= {"indices.npz", "checkpoints"} if kind == "tokenizer" else set()
    assert {Path(out).name for out in outs} == expected
    assert f"{kind}s.${{key}}" in entry["params"]
    assert f"{kind}s" not in entry["params"]


def test_kept_checkpoints_belong_to_the_training_that_made_them() -> None:
    """Else a checkout of other weights would leave, or lack, those of figure 13."""
    for name in ("evaluate_tokenizer", "train_generator", "evaluate_generator"):
        assert any(dep.endswith("/checkpoints") for dep in stage(name)["deps"])


@pytest.mark.parametrize("kind", ["tokenizer", "generator"])
def test_scores_are_metrics_and_curves_are_plots(kind: str) -> None:
    """``dvc metrics diff`` finds those of an earlier commit in DVC's cache: runs/ is no part of Git."""
    entry = stage(f"evaluate_{kind}")
    assert entry["metrics"] == [f"runs/{kind}s/${{key}}/metrics.json"]
    assert f"runs/{kind}s/${{key}}/curves.json" in entry["deps"]
    (plots,) = entry["plots"]
    assert plots == {f"runs/{kind}s/${{key}}/plots": {"x": "step", "y": "value", "template": "lines"}}
    assert (ROOT / ".dvc" / "plots" / "lines.json").is_file()


@pytest.mark.parametrize("name", STAGES)
def test_scripts_are_small(name: str) -> None:
    assert len((ROOT / "stages" / f"{name}.py").read_text().splitlines()) < 60
    assert f"python stages/{name}.py" in stage(name)["cmd"]


def test_there_is_a_script_for_each_stage_and_nothing_else() -> None:
    assert tuple(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]) == STAGES
    assert {path.stem for path in (ROOT / "stages").glob("*.py")} == {*STAGES, "common"}
    assert len((ROOT / "stages" / "common.py").read_text().splitlines()) < 60


def test_the_report_does_not_depend_on_indices_that_no_stage_declares() -> None:
    """Those of intermediate checkpoints, made where they are missing, lie in its dependency ``runs/generators``."""
    from dvc.repo import Repo

    with Repo(str(ROOT)) as repo:
        ignored = {path: repo.dvcignore.is_ignored_file(str(ROOT / "runs" / path)) for path in (
            "generators/G.indices.npz", "generators/G/weights.safetensors", "tokenizers/T/indices.npz"
        )}  # fmt: skip
        parts = [f"{path}/.{name}indices.npz.parts" for path, name in (("generators", "G."), ("tokenizers/T", ""))]
        assert all(repo.dvcignore.is_ignored_dir(str(ROOT / "runs" / path)) for path in parts)
    assert list(ignored.values()) == [True, False, False]
