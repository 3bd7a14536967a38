"""``gigatok-bench tune``: studies over a tokenizer's settings, and over a generator's guidance."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gigatok.cli.completion import generators, tokenizers
from gigatok.cli.options import finite

if TYPE_CHECKING:
    from gigatok.pipeline.tuning.plan import StudyPlan

tune_app = typer.Typer(
    no_args_is_help=True,
    help="Studies over settings, with Optuna.",
    short_help="Studies over settings, with Optuna.",
    rich_markup_mode=None,
)
WAIT_SECONDS = 3600.0
"""How long a worker waits for another command that works on the pipeline: a first one may be making what both need."""
_Json = Annotated[bool, typer.Option("--json", help="Print JSON, nothing else, on stdout.")]

_Minutes = Annotated[
    float | None, typer.Option(min=0, callback=finite, help="Begin no trial later than this; none: no limit.")
]
_Storage = Annotated[
    str | None, typer.Option(help="Database of the study, e.g. sqlite:///study.db; default: a journal.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(tune_app, name="tune")


@tune_app.command(epilog="Example: gigatok-bench tune tokenizer S-S --trials 12 --minutes 10")
def tokenizer(
    name: Annotated[str, typer.Argument(autocompletion=tokenizers, help="One of tokenizers in params.yaml.")],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in all, those of other workers and earlier calls too.")
    ] = 12,
    minutes: _Minutes = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of a trial's tokenizer.")] = 120,
    generator_steps: Annotated[int, typer.Option(min=1, help="Steps of a trial's AR model.")] = 120,
    study: Annotated[str | None, typer.Option(help="Name of the study; default: tokenizer-NAME.")] = None,
    storage: _Storage = None,
    as_json: _Json = False,
) -> None:
    """Search a tokenizer's settings for rFID and AR loss.

    Tried are semantic weight, entropy weight, learning rate and alignment layer; objectives: rFID and AR validation
    loss.

    Call it several times at once for several workers: no setting is trained twice. Call it again to go on; trials of
    workers that died are taken up where they stopped. Trials are runs in MLflow under a parent run of their own.
    """
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, load_params
    from gigatok.pipeline.naming import suggestions

    root = project_root()
    params = load_params(root / "params.yaml")
    if name not in params.tokenizers:
        near = suggestions(name, params.tokenizers, "params.yaml")
        raise ConfigError(f"params.yaml has no tokenizer {name!r}: {near}")
    called = study or f"tokenizer-{name}"
    if not all(letter.isalnum() or letter in "-_." for letter in called) or called.startswith("."):
        raise ConfigError(f"--study {called!r}: use letters, digits, '-', '_' and '.'")
    from gigatok.pipeline.tuning.plan import StudyPlan
    from gigatok.pipeline.tuning.space import Space
    from gigatok.pipeline.tuning.study import open_study, summary, work
    from gigatok.pipeline.update import bring_up_to_date
    from gigatok.tracking.messages import without_user

    bring_up_to_date(root, ["teacher", "reference"], wait=WAIT_SECONDS)
    plan = StudyPlan(root, name, called, Space.around(params, name), steps, generator_steps)
    opened = open_study(plan, storage)
    about = plan.about()  # as the trials have it, should params.yaml be edited meanwhile
    try:
        work(opened, plan, trials, minutes, lambda text: print(text, file=sys.stderr, flush=True))
    finally:
        document = _write_tokenizer_report(plan, about, summary(opened, plan.space))
    if as_json:
        print(json.dumps(document, indent=2))
        return
    _print_front(document)
    address = without_user(storage) if storage else str(plan.folder / "journal.log")
    print(f"\nReport: {document['report']}\nStudy:  optuna-dashboard {address}")


@tune_app.command(epilog="Example: gigatok-bench tune guidance S-S --trials 12 --samples 144")
def guidance(
    name: Annotated[
        str, typer.Argument(autocompletion=generators, help="One of generators in params.yaml; it must be trained.")
    ],
    trials: Annotated[int, typer.Option(min=1, help="Settings besides no guidance.")] = 24,
    samples: Annotated[str, typer.Option(help="Rising counts at which the worse half is given up, e.g. 144,288.")] = "",
    scales: Annotated[str, typer.Option(help="Scales to try.")] = "1.25,1.5,1.75,2,2.5,3,4",
    schedules: Annotated[str, typer.Option(help="Of constant, step, linear, cosine.")] = "constant,step,linear,cosine",
    starts: Annotated[str, typer.Option(help="Shares of the tokens before 'step' begins.")] = "0,0.18,0.3",
    minutes: _Minutes = None,
    storage: _Storage = None,
    as_json: _Json = False,
) -> None:
    """Search the guidance of the best gFID.

    Few samples come first; no guidance and the whole curve are always reported.

    Several may run at once; a killed search goes on from what is stored. Trials are runs in MLflow under a parent run
    of their own.
    """
    from gigatok.artifacts import Workspace
    from gigatok.cli.files.project import project_root
    from gigatok.config import ConfigError, GigatokError, load_params
    from gigatok.config.evaluation import GuidanceSection
    from gigatok.pipeline.naming import suggestions

    root = project_root()
    params = load_params(root / "params.yaml")
    if name not in params.generators:
        near = suggestions(name, params.generators, "params.yaml")
        raise ConfigError(f"params.yaml has no generator {name!r}: {near}")
    try:
        section = GuidanceSection.model_validate({
            "kind": "study", "trials": trials, "samples": _numbers(samples, int, "--samples"),
            "scales": _numbers(scales, float, "--scales"), "starts": _numbers(starts, float, "--starts"),
            "schedules": [part.strip() for part in schedules.split(",") if part.strip()],
        })  # fmt: skip
        params.generator_evaluation(name).replace(guidance=section)
    except ValueError as error:
        raise ConfigError(_first_problem(error)) from None
    if not Workspace(root).generator(name).weights_path.is_file():
        raise GigatokError(f"generator {name} has no weights: 'gigatok-bench repro train_generator@{name}' makes them")
    from gigatok.pipeline.tuning.guidance import report_entries, storage_of, study_guidance
    from gigatok.tracking.messages import without_user

    report = study_guidance(name, params, Workspace(root), section, storage, minutes)
    document = _write_guidance_report(root, name, params.profile, report_entries(report), len(report.stopped))
    if as_json:
        print(json.dumps(document, indent=2))
        return
    best = document["best"]
    print(f"no guidance: gFID {report.unguided.value:.4g}; best: gFID {best['gfid']:.4g} with scale {best['scale']:g}, "
          f"{best['schedule']}, {report.unguided.samples} samples each")  # fmt: skip
    address = without_user(storage) if storage else storage_of(Workspace(root), name)
    print(f"\nReport: {document['report']}\nStudy:  optuna-dashboard {address}")


def _write_tokenizer_report(
    plan: StudyPlan, about: Mapping[str, Any], trials: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """``reports/studies/<study>``: figures, table, JSON; returns the JSON."""
    from gigatok.cli.options import shown
    from gigatok.paper.studies.page import write_tokenizer_study
    from gigatok.pipeline.tuning.pruning import pareto_front

    done = [each for each in trials if each["rfid"] is not None and each["ar_val_loss"] is not None]
    front = [done[place]["trial"] for place in pareto_front([(each["rfid"], each["ar_val_loss"]) for each in done])]
    folder = plan.root / "reports" / "studies" / plan.study
    document = {**about, "front": front, "trials": list(trials)}
    write_tokenizer_study(folder, document)
    return {**document, "report": shown(folder / "README.md")}


def _write_guidance_report(
    root: Path, name: str, profile: str, trials: list[dict[str, Any]], stopped: int
) -> dict[str, Any]:
    """``reports/studies/guidance-<name>``: figure, table, JSON; returns the JSON."""
    from gigatok.artifacts import git_state
    from gigatok.cli.options import shown
    from gigatok.paper.studies.page import write_guidance_study

    folder = root / "reports" / "studies" / f"guidance-{name}"
    best = min(trials, key=lambda each: float(each["gfid"]))
    commit, dirty = git_state(root)
    document = {
        "generator": name,
        "profile": profile,
        "commit": commit,
        "dirty": dirty,
        "best": best,
        "given_up": stopped,
        "trials": trials,
    }
    write_guidance_study(folder, document)
    return {**document, "report": shown(folder / "README.md")}


def _print_front(document: Mapping[str, Any]) -> None:
    from gigatok.cli.tables import table, terminal_width
    from gigatok.paper.studies.page import tokenizer_rows

    head, *body = tokenizer_rows(document)
    print(table(head, body, terminal_width(), left=2))


def _numbers(text: str, kind: type[int] | type[float], option: str) -> list[int | float]:
    from gigatok.config import ConfigError

    try:
        return [kind(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise ConfigError(f"{option} {text!r}: give numbers separated by commas") from None


def _first_problem(error: ValueError) -> str:
    from pydantic import ValidationError

    from gigatok.config import describe

    return f"tune guidance: {describe(error) if isinstance(error, ValidationError) else error}"
