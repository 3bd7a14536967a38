"""``paper``, ``verify`` and ``trace`` over run folders with made-up numbers."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cli_harness import Command

from gigatok.config import parse_params
from gigatok.evaluation.timing.times import TimingTable
from gigatok.paper.claims.catalogue import CLAIMS
from gigatok.paper.claims.statements import STATEMENTS
from gigatok.pipeline.params_file import lost_settings, rendered
from gigatok.pipeline.plan import planned_stages
from gigatok.pipeline.runner import Graph, Stage
from gigatok.pipeline.update import choose_params


@pytest.fixture(scope="module")
def fake() -> ModuleType:
    """``tests/paper/fake_runs.py``."""
    path = Path(__file__).parents[1] / "paper" / "fake_runs.py"
    spec = importlib.util.spec_from_file_location("fake_runs_of_paper", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake: ModuleType) -> Path:
    """Profile nano with the runs of suite ``core``, the dilemma among them; the working directory."""
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(rendered("nano", "core"))
    fake.write_core(tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_verify_prints_every_claim_with_its_scale(command: Command, project: Path) -> None:
    ended = command("verify")
    assert ended.status == 0
    assert "UNDECIDED (ONE TRAINING)  dilemma  [proxy scale: profile nano]" in ended.out
    assert "undecided (one training): gFID, guided of B-L-no-sem > S-S-no-sem" in ended.out
    assert "Criteria: not recorded before these runs" in ended.out
    assert "not run: rFID of S-S < S-S-layer2: S-S-layer2 not run" in ended.out


def test_verify_and_trace_fit_80_columns_and_say_all_of_it(command: Command, project: Path) -> None:
    for words in (("verify",), ("trace", "table2", "B-L", "rfid"), ("trace", "scaling", "s", "gfid")):
        plain, wide = command(*words).out, command(*words, "--wide").out
        assert max(map(len, plain.splitlines())) <= 80
        assert plain.split() == wide.split()
        assert max(map(len, wide.splitlines())) > 80


def test_verify_json_has_effects(command: Command, project: Path) -> None:
    document = json.loads(command("verify", "--json").out)
    assert document["proxy_scale"] is True
    dilemma = next(claim for claim in document["claims"] if claim["claim"] == "dilemma")
    assert dilemma["comparisons"][0]["effect"] == pytest.approx(-12.0)
    assert [each["verdict"] for each in dilemma["comparisons"]] == ["undecided"] * 3
    assert dilemma["comparisons"][0]["seeds"] == {"left": [0], "right": [0]}
    assert dilemma["comparisons"][0]["smallest_detectable"] is None
    assert (dilemma["verdict"], dilemma["reason"], dilemma["verdict_scale"]) == ("undecided", "one training", "proxy")
    assert document["criteria"].startswith("Criteria: not recorded")
    beside = document["beside_the_claims"]
    assert [each["statement"] for each in beside["statements"]] == [each.key for each in STATEMENTS]
    assert (beside["level"], beside["correction"]) == (0.05, "holm")


def test_verify_is_a_table_on_a_terminal(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "│" not in command("verify").out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    out = command("verify").out
    assert "Claims of the paper (proxy scale: profile nano)" in out
    assert "undecided" in next(line for line in out.splitlines() if line.startswith("│") and "dilemma" in line)


def test_strict_fails_only_on_what_is_contradicted(command: Command, project: Path, fake: ModuleType) -> None:
    fake.write_tokenizer(project / "runs", "B-L-no-sem", rfid=200, psnr=12.0)
    assert command("verify", "--strict").status == 0  # one training contradicts nothing
    fake.write_trainings(project / "runs", (-1, 0, 1))
    (project / "params.yaml").write_text(rendered("nano", "core", seeds=[0, 1, 2]))
    for seed, shift in (("", 0), ("-seed1", 1), ("-seed2", -1)):
        fake.write_tokenizer(project / "runs", f"B-L-no-sem{seed}", rfid=200 + shift, psnr=12.0)
    ended = command("verify", "--strict")
    assert ended.status == 1
    assert "2 of 10 claims are contradicted (dilemma, cure)" in ended.err
    assert command("verify").status == 0


@pytest.mark.parametrize("table", ["table2", "table02", "2"])
def test_trace_shows_the_pedigree_and_the_command_of_one_cell(command: Command, project: Path, table: str) -> None:
    known = json.loads(command("trace", table, "B-L", "rfid", "--json").out)
    assert known["value"] == "58"
    assert known["interval"] == "56.84 to 59.16"
    assert known["MLflow run"] == "f00d" * 8
    assert known["commit"].startswith("0123456789ab")
    assert known["data"] == "d" * 64
    assert known["params"] == "p" * 16
    assert known["seed"] == "0"
    assert "567 images scored" in known["protocol"]
    assert known["paper"] == "0.81"
    assert known["command"] == "dvc repro evaluate_tokenizer@B-L"


def test_trace_shows_every_field_of_the_protocol_in_full(command: Command, project: Path) -> None:
    known = json.loads(command("trace", "table2", "B-L", "rfid", "--json").out)
    assert known["extractor"] == "efficientnet-lite2"
    assert known["extractor sha256"] == "a1b2c3d4" * 8
    assert known["images scored"] == "567"


def test_trace_shows_accuracies_in_the_papers_unit_beside_the_papers(command: Command, project: Path) -> None:
    path = project / "runs" / "generators" / "B-L" / "summary.json"
    sheet = json.loads(path.read_text())
    next(score for score in sheet["scores"] if score["metric"] == "linear_probe_accuracy")["interval"] = [0.46, 0.5]
    path.write_text(json.dumps(sheet))
    known = json.loads(command("trace", "table2", "B-L", "lin_acc", "--json").out)
    assert known["value"] == "0.48"
    assert known["ours"] == "48 [46, 50]"
    assert float(known["paper"]) > 1
    assert known["verdict"] == "proxy scale"


def test_trace_of_what_was_not_run_names_the_command(command: Command, project: Path) -> None:
    out = command("trace", "table2", "B-S", "gfid").out
    assert "not run" in out
    assert "gigatok-bench profile nano --suite full" in out


def test_trace_knows_the_scaling_table(command: Command, project: Path) -> None:
    assert json.loads(command("trace", "scaling", "s", "rfid", "--json").out)["value"] == "70"
    known = json.loads(command("trace", "scaling", "s", "gfid", "--json").out)
    assert known["value"] == "120"
    assert known["command"] == "dvc repro evaluate_generator@S-S"


def test_trace_means_the_run_that_the_scaling_table_shows(command: Command, project: Path) -> None:
    of_samples = json.loads(command("trace", "scaling", "s", "kid", "--json").out)
    assert (of_samples["value"], of_samples["command"]) == ("0.24", "dvc repro evaluate_generator@S-S")
    of_tokenizer = json.loads(command("trace", "scaling", "s", "reconstruction_kid", "--json").out)
    assert (of_tokenizer["value"], of_tokenizer["command"]) == ("0.07", "dvc repro evaluate_tokenizer@S-S")


def test_a_generator_that_was_not_run_is_no_unknown_column(command: Command, project: Path) -> None:
    (project / "runs" / "generators" / "S-S" / "summary.json").unlink()
    ended = command("trace", "scaling", "s", "gfid", "--json")
    assert ended.status == 0
    assert json.loads(ended.out) == {
        "table": "scaling", "row": "s", "column": "gfid",
        "value": "not run", "command": "gigatok-bench scaling --sizes s",
    }  # fmt: skip
    (project / "runs" / "tokenizers" / "S-S" / "summary.json").unlink()
    assert command("trace", "scaling", "s", "fid").status == 2


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (("table4", "B-L", "gfid"), "reports/tables/table04.md"),
        (("tables", "B-L", "gfid"), "table2, table3"),
        (("table2", "B-XL", "gfid"), "B-S, S-B, S-L, B-L"),
        (("table2", "B-L", "fid"), "rfid, lpips, gfid, lin_acc"),
        (("scaling", "q", "rfid"), "s, b, l, xl, 3b"),
        (("scaling", "s", "fid"), "rfid, gfid, gfid_best_cfg, rfid_infinity"),
    ],
)
def test_trace_lists_what_it_knows(command: Command, project: Path, words: tuple[str, ...], known: str) -> None:
    ended = command("trace", *words)
    assert ended.status == 2
    assert known in ended.err


@pytest.fixture
def finished(monkeypatch: pytest.MonkeyPatch, project: Path) -> Path:
    """The project with every stage of suite ``core`` up to date, as DVC would say."""
    params = parse_params(_values("core"))
    names = [f"{work}_tokenizer@{name}" for name in params.tokenizers for work in ("train", "evaluate")]
    names += [f"{work}_generator@{name}" for name in params.generators for work in ("train", "evaluate")]
    data = ("criteria", "prepare", "teacher", "reference")
    stages = {name: _up_to_date(name) for name in (*data, *names, "report")}
    monkeypatch.setattr("gigatok.pipeline.runner.read_graph", lambda root: Graph(stages))
    return project


NEEDS = {
    "train_tokenizer": ("prepare", "teacher"),
    "evaluate_tokenizer": ("prepare", "reference", "train_tokenizer"),
    "train_generator": ("prepare", "train_tokenizer"),
    "evaluate_generator": ("prepare", "reference", "train_tokenizer", "train_generator"),
}


def _up_to_date(name: str) -> Stage:
    """A stage with the settings that ``dvc.yaml`` names; generators are called like their tokenizers."""
    work, at, key = name.partition("@")
    declared = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"][work]
    settings = declared.get("do", declared).get("params", ())
    needs = (need + at + key if need.startswith("train") else need for need in NEEDS.get(work, ()))
    return Stage(
        name=name,
        changed=False,
        needs=tuple(needs),
        settings=tuple(path.replace("${key}", key) for path in settings),
    )


def test_nothing_would_run_of_a_finished_suite(finished: Path) -> None:
    assert planned_stages(finished, parse_params(_values("core")), ()) == []


def test_suite_full_reuses_what_core_ran(finished: Path) -> None:
    full = parse_params(_values("full"))
    planned = planned_stages(finished, full, ())
    assert {"train_tokenizer@B-S", "evaluate_generator@B-L-2d", "report"} <= set(planned)
    assert not {"prepare", "teacher", "reference", "train_tokenizer@S-S", "evaluate_generator@S-B"} & set(planned)


def test_another_profile_reuses_nothing(finished: Path) -> None:
    values = {**_values("core"), "base": {"seed": 1}}
    assert "train_tokenizer@S-S" in planned_stages(finished, parse_params(values), ())


def test_a_changed_setting_concerns_the_stages_that_read_it_and_those_that_follow(finished: Path) -> None:
    values = _values("core")
    values["train_generator"] = {**values["train_generator"], "steps": 7}  # type: ignore[dict-item]
    planned = planned_stages(finished, parse_params(values), ())
    concerned = {name.partition("@")[0] for name in planned}
    assert concerned - {"timing", "report"} == {"train_generator", "evaluate_generator"}
    assert planned_stages(finished, parse_params(values), ["evaluate_tokenizer"]) == []
    values = _values("core")
    values["tokenizers"]["S-S"] = {**values["tokenizers"]["S-S"], "overrides": {"steps": 7}}  # type: ignore[index]
    planned = planned_stages(finished, parse_params(values), ["evaluate_generator"])
    followed = {f"{work}@S-S" for work in ("train_tokenizer", "train_generator", "evaluate_generator")}
    assert set(planned) == followed


def test_paper_dry_run_changes_nothing(command: Command, finished: Path) -> None:
    before = (finished / "params.yaml").read_text()
    ended = command("paper", "--dry-run", "--json")
    document = json.loads(ended.out)
    assert document["suite"] == "full"
    assert "train_tokenizer@S-S-2d" in document["stages"]
    assert (finished / "params.yaml").read_text() == before


def test_set_holds_for_one_run_of_paper_and_is_checked_as_for_repro(command: Command, finished: Path) -> None:
    before = (finished / "params.yaml").read_bytes()
    wrong = command("paper", "--suite", "core", "--set", "base.sead=3")
    assert (wrong.status, wrong.err) == (2, command("repro", "--set", "base.sead=3").err)
    other = command("paper", "--set", "base.seed=3")
    assert other.status == 2
    assert "which is of suite core, not full: 'gigatok-bench profile nano --suite full'" in other.err
    assert "leave --profile out" in command("paper", "--profile", "nano", "--set", "base.seed=3").err
    same = json.loads(command("paper", "--suite", "core", "--dry-run", "--json").out)
    assert same["stages"] == {}
    ended = command("paper", "--suite", "core", "--set", "base.seed=3", "--dry-run", "--json")
    assert "train_tokenizer@S-S" in json.loads(ended.out)["stages"]
    assert "rewritten" not in ended.err  # params.yaml comes back as it was
    assert (finished / "params.yaml").read_bytes() == before


def test_paper_runs_with_the_settings_of_set(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gigatok.config import load_params
    from gigatok.pipeline.runner import Outcome

    seen: list[int] = []

    def run(root: Path, targets: object, jobs: int, profile: str | None, suite: str | None) -> Outcome:
        assert (profile, suite) == (None, None)
        seen.append(load_params(root / "params.yaml").base.seed)
        return Outcome(ran=(), seconds=0.0)

    monkeypatch.setattr("gigatok.pipeline.update._bring_up_to_date", run)
    before = (project / "params.yaml").read_bytes()
    assert command("paper", "--suite", "core", "--set", "base.seed=3").status == 0
    assert seen == [3]
    assert (project / "params.yaml").read_bytes() == before


def test_settings_made_by_hand_are_named_before_they_are_lost(
    command: Command, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / "params.yaml"
    values = {**_values("core"), "base": {**_values("core")["base"], "seed": 7}}  # type: ignore[dict-item]
    path.write_text(yaml.safe_dump(values))
    assert choose_params(finished, None, "core").base.seed == 7
    assert yaml.safe_load(path.read_text()) == values
    assert "base.seed: 7 -> 0" in command("paper", "--dry-run").err
    assert yaml.safe_load(path.read_text()) == values
    assert choose_params(finished, None, "full").base.seed == 0
    err = capsys.readouterr().err
    assert "rewriting loses 1 settings of params.yaml that its profile does not have:\n  base.seed: 7 -> 0\n" in err


def test_a_file_as_its_profile_wrote_it_loses_nothing(command: Command, finished: Path) -> None:
    assert lost_settings(_values("core"), _values("full")) == []
    err = command("paper", "--dry-run").err
    assert "params.yaml would be rewritten: profile nano, suite full" in err
    assert "loses" not in err
    assert command("paper", "--dry-run", "--suite", "core").err == ""


def test_paper_stops_before_anything_is_written(command: Command, project: Path) -> None:
    before = (project / "params.yaml").read_text()
    ended = command("paper", "--profile", "paper")
    assert ended.status == 1
    assert "profile paper cannot run on this machine: prepare.path is not set" in ended.err
    assert (project / "params.yaml").read_text() == before


def test_paper_says_where_everything_is(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gigatok.pipeline.runner import Outcome

    monkeypatch.setattr("gigatok.pipeline.update.bring_up_to_date", lambda *_, **__: Outcome(ran=(), seconds=0.0))
    (project / "reports").mkdir()
    (project / "reports" / "claims.md").touch()
    ended = command("paper", "--suite", "core")
    assert ended.status == 0
    assert "table02: 9 of 16 cells measured" in ended.out
    assert "reports/claims.md" in ended.out
    assert f"{len(CLAIMS) + 2} claims: " in ended.out


def _values(suite: str) -> dict[str, object]:
    values: dict[str, object] = yaml.safe_load(rendered("nano", suite))
    return values


def test_time_fits_80_columns_and_prints_what_it_writes(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "params.yaml").write_text(rendered("smoke", "core"))
    ended = command("time", "--batch-size", "1", "--repeats", "1")
    assert ended.status == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    written = (project / "reports" / "timing" / "table04.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in written.splitlines() if line.startswith("| ")]
    printed = [line.split() for line in ended.out.splitlines()]
    shares = [row for row in rows if row[0] in ("B", "L", "XXL")]
    assert len(shares) == 3
    for row in shares:
        assert row in printed
    for row in rows:
        if row[0].startswith(("decode", "sample")):
            assert " ".join(row).split() in printed
    stored = project / "reports" / "timing" / "table04.json"
    times = TimingTable.read(stored)
    monkeypatch.setattr("gigatok.evaluation.timing.measure.measure_times", lambda *_, **__: times)
    document = json.loads(command("time", "--json").out)
    assert document == {**json.loads(stored.read_text()), "report": "reports/timing"}
