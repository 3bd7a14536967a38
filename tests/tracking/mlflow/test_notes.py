"""What MLflow's pages say of a run above its numbers."""

from __future__ import annotations

import re
import shlex

import pytest
import typer
import yaml
from tracking_helpers import SECTION, client_of, destination_of, finish, runs_of

from gigatok.artifacts import Workspace
from gigatok.cli.app import app
from gigatok.config import Params, parse_params
from gigatok.config.profiles import render
from gigatok.tracking.mlflow.notes import NOTE, run_note, suite_note
from gigatok.tracking.record import Record, describe_record
from gigatok.tracking.run_info import RunInfo, generator_info, tokenizer_info
from gigatok.tracking.sync import sync


@pytest.fixture(scope="module")
def params() -> Params:
    return parse_params(yaml.safe_load(render("smoke")))


def tokenizer(params: Params) -> RunInfo:
    return tokenizer_info("S-S", params, params.tokenizer_model("S-S", alignment_dim=8), 1234)


def generator(params: Params) -> RunInfo:
    return generator_info("S-S", params, params.generator_model("S-S", tokens=16, codebook_size=64, classes=9), 10, 20)


def record_of(info: RunInfo) -> Record:
    return Record(**info.described(), uid="u", experiment="gigatok", destination="d")


def parse(note: str) -> list[str]:
    """The command that a description names, which must be one of this program."""
    (line,) = re.findall(r"Made by `([^`]+)`\.", note)
    words = shlex.split(line)
    if words[0] == "gigatok-bench":
        group = typer.main.get_command(app)
        context = group.make_context("gigatok-bench", words[1:])
        while left := [*getattr(context, "_protected_args", []), *context.args]:
            name, command, rest = context.command.resolve_command(context, left)  # type: ignore[attr-defined]
            context = command.make_context(name, rest, parent=context)
            if not hasattr(command, "resolve_command"):
                break
    return words[1:]


def test_a_run_says_what_it_is_its_recipe_and_how_to_make_it(params: Params) -> None:
    training = params.tokenizer_training("S-S")
    one, two = run_note(record_of(tokenizer(params)), "S-S"), run_note(record_of(generator(params)), "S-S")
    assert one.startswith("**Tokenizer S-S** (rung s, size S-S, 1,234 parameters) of profile smoke, suite core.")
    assert f"Recipe: {training.steps} steps, batch {training.batch_size}, " in one
    assert f"semantic weight {training.loss.semantic_weight}." in one
    repro = ["repro", "--profile", "smoke", "--suite", "core"]
    assert parse(one) == [*repro, "train_tokenizer@S-S"]
    assert two.startswith("**AR model S-S** (")
    assert "on the tokens of tokenizer S-S." in two
    assert f"semantic weight of the tokenizer {training.loss.semantic_weight:g}." in two
    assert parse(two) == [*repro, "train_generator@S-S"]
    parent = suite_note(record_of(tokenizer(params)))
    assert parent.startswith("**All tokenizers and AR models** of profile smoke, suite core, ")
    assert parse(parent) == repro


def test_trials_and_experiments_name_their_own_command(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "warm")
    record = record_of(tokenizer(params))
    assert parse(run_note(record, "S-S")) == ["exp", "apply", "warm"]
    assert suite_note(record).startswith("**All tokenizers")  # an experiment in the project's own folder
    copy = record.replace(suite_run="smoke-core warm")
    assert suite_note(copy).startswith("**Experiment warm** of DVC: ")
    monkeypatch.setenv("GIGATOK_STUDY", "first")
    monkeypatch.setenv("GIGATOK_TRIAL", "3")
    for info in (tokenizer(params), generator(params)):
        trial = record_of(info)
        assert "Trial 3 of study first." in run_note(trial, "S-S")
        assert suite_note(trial).startswith("**Study first**: trials over settings of tokenizer S-S of profile smoke")
        for note in (run_note(trial, "S-S"), suite_note(trial)):
            assert parse(note) == ["tune", "tokenizer", "S-S", "--study", "first"]


def test_descriptions_reach_mlflow_grow_with_the_facts_and_leave_other_words_alone(
    project: Workspace, params: Params
) -> None:
    run = project.tokenizer("S-S")
    finish(run, "abc")
    sync(project.runs, SECTION)  # a folder that DVC checked out says little
    (item,) = runs_of(project)
    assert item.data.tags[NOTE] == "**Tokenizer S-S**.\n\n- Made by `gigatok-bench repro train_tokenizer@S-S`."
    describe_record(run, tokenizer(params), "gigatok", destination_of(project).fingerprint)
    sync(project.runs, SECTION)
    (item,), (*parents,) = runs_of(project), runs_of(project, "suite")
    assert "Recipe: " in item.data.tags[NOTE]
    assert all("Made by `gigatok-bench repro" in parent.data.tags[NOTE] for parent in parents)
    client_of(project).set_tag(item.info.run_id, NOTE, "the good one")
    describe_record(run, tokenizer(params), "gigatok", destination_of(project).fingerprint)
    sync(project.runs, SECTION)
    assert runs_of(project)[0].data.tags[NOTE] == "the good one"
