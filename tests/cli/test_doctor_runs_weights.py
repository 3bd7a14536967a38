"""``doctor``, ``runs``, ``weights``, ``--quiet`` and ``--set`` as a user types them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_harness import Command

from gigatok.artifacts import Score, ScoreSheet, Workspace, write_json
from gigatok.artifacts.lock import hold
from gigatok.config.profiles import render


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text(render("smoke").replace("enabled: true", "enabled: false"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def add_run(root: Path, rfid: float, name: str = "S-S") -> None:
    run = Workspace(root).tokenizer(name)
    write_json(
        run.provenance_path, {"fingerprint": f"{rfid:.0f}" * 8, "complete": True, "finished": "2026-11-20T09:30"}
    )
    score = Score(metric="rfid/tiny", value=rfid, interval=(rfid - 1, rfid + 1))
    ScoreSheet(name=name, kind="tokenizer", scores=(score,)).write(run.summary_path)


def test_doctor_gives_a_fix_and_status_1_where_something_is_bad(command: Command, project: Path) -> None:
    ended = command("doctor")
    assert ended.status == 1
    assert "BAD   DVC: " in ended.out
    assert "fix: clone the project whole" in ended.out
    assert all(len(line) <= 80 or " " not in line.strip() for line in ended.out.splitlines())  # paths stay whole
    document = json.loads(command("doctor", "--json").out)
    assert document["ok"] is False
    assert {"name", "state", "found", "fix"} == set(document["checks"][0])


def test_runs_are_listed_compared_and_restored(command: Command, project: Path) -> None:
    assert "no trainings yet" in command("runs").err
    add_run(project, 9.0)
    Workspace(project).tokenizer("S-S").set_aside()
    add_run(project, 12.0)
    listed = command("runs")
    assert [line.split()[0] for line in listed.out.splitlines()[1:3]] == ["tokenizers/S-S", ".old/tokenizers-S-S-1"]
    assert max(map(len, listed.out.splitlines())) <= 80
    assert len(json.loads(command("runs", "--json").out)["runs"]) == 2
    assert "12" in command("runs", "--columns", "scores").out
    compared = command("runs", "compare", ".old/tokenizers-S-S-1", "S-S")
    assert "differ" in compared.out
    assert max(map(len, compared.out.splitlines())) <= 80
    restored = command("runs", "restore", ".old/tokenizers-S-S-1")
    assert ".old/tokenizers-S-S-1 is back in runs/tokenizers/S-S" in restored.out
    assert command("runs", "restore", "nothing").status == 2
    (old,) = (project / "runs" / ".old").iterdir()
    again = json.loads(command("runs", "restore", f".old/{old.name}", "--json").out)
    assert (again["run"], again["folder"]) == (f".old/{old.name}", "runs/tokenizers/S-S")
    assert again["set_aside"].startswith("runs/.old/tokenizers-S-S-")
    assert again["differences"] is None  # these runs did not record what they were made of


def test_the_documented_comparison_works_once_a_generator_has_the_tokenizers_name(
    command: Command, project: Path
) -> None:
    add_run(project, 9.0)
    Workspace(project).tokenizer("S-S").set_aside()
    add_run(project, 12.0)
    known = {"fingerprint": "ab" * 8, "complete": True, "finished": "2026-11-20T09:30"}
    write_json(Workspace(project).generator("S-S").provenance_path, known)
    compared = command("runs", "compare", "S-S", ".old/tokenizers-S-S-1")
    assert (compared.status, compared.out.split()[:2]) == (0, ["A", "tokenizers/S-S"]), compared.err


def test_now_against_before_is_one_command(command: Command, project: Path) -> None:
    assert "no model has a set-aside run" in command("runs", "compare", "--previous").err
    assert json.loads(command("runs", "compare", "--previous", "--json").out) == {"comparisons": []}
    long = "a-tokenizer-with-a-name-that-leaves-no-room-for-scores-in-a-line-of-eighty"
    for name in ("S-S", long):
        add_run(project, 4811.25, name)
        Workspace(project).tokenizer(name).set_aside()
        add_run(project, 4816.5, name)
    add_run(project, 7.0, "B-L")
    generator = Workspace(project).generator("S-S")
    for loss in (0.000123, 4.5):
        generator.set_aside()
        write_json(generator.provenance_path, {"fingerprint": "ab" * 8, "complete": True})
        score = Score(metric="ar_val_loss", value=loss)
        ScoreSheet(name="S-S", kind="generator", scores=(score,)).write(generator.summary_path)
    compared = command("runs", "compare", "S-S")
    assert [line.split()[1] for line in compared.out.splitlines()[:2]] == ["tokenizers/S-S", ".old/tokenizers-S-S-1"]
    listed = command("runs", "compare", "--previous")
    lines = [line.split() for line in listed.out.splitlines()]
    assert ["S-S", "1", "4811", "4816", "differ", "-", "-"] in lines
    assert ["S-S", "1", "-", "-", "0.000123", "4.500", "no", "bounds"] in lines
    assert sum(bool(line) and line[0].startswith("a-tokenizer") and line[-3] == "differ" for line in lines) == 1
    assert "B-L" not in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    document = json.loads(command("runs", "compare", "--previous", "--json").out)["comparisons"]
    assert [each["left"]["run"] for each in document] == ["tokenizers/S-S", f"tokenizers/{long}", "generators/S-S"]
    assert document[0]["right"]["run"] == ".old/tokenizers-S-S-1"
    assert document[0]["scores"][0]["left"]["value"] == 4816.5
    for words, said in ((("S-S", "--previous"), "leave S-S out"), ((), "--previous for every model"),
                        (("B-L",), "no other run of its name was set aside")):  # fmt: skip
        refused = command("runs", "compare", *words)
        assert (refused.status, said in refused.err) == (2, True), refused.err


def test_options_before_a_command_of_runs_are_the_commands(command: Command, project: Path) -> None:
    add_run(project, 9.0)
    Workspace(project).tokenizer("S-S").set_aside()
    add_run(project, 12.0)
    old = ".old/tokenizers-S-S-1"
    for option in (("--json",), ("--wide",), ("--columns", "verdict")):
        before, behind = (command("runs", *words) for words in ((*option, "compare", old, "S-S"),
                                                                ("compare", old, "S-S", *option)))  # fmt: skip
        assert before == behind
        assert before.out != command("runs", "compare", old, "S-S").out or option == ("--wide",)
    refused = command("runs", "--wide", "restore", old)
    assert (refused.status, "'runs restore' has no --wide: leave it out" in refused.err) == (2, True)
    assert json.loads(command("runs", "--json", "restore", old).out)["run"] == old


def test_profile_leaves_the_settings_of_a_running_pipeline_alone(command: Command, project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    with hold(Workspace(project).pipeline_lock, "x"):
        refused = command("profile", "nano")
        assert refused.status == 1
        assert f"params.yaml is in use: the pipeline is run by process {os.getpid()} on " in refused.err
        assert (project / "params.yaml").read_bytes() == before
    assert command("profile", "nano").status == 0
    assert (project / "params.yaml").read_bytes() != before


def test_weights_are_listed_without_loading_torch(command: Command, project: Path) -> None:
    listed = command("weights", "list")
    assert "efficientnet-lite2  yes     yes" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
    assert {each["name"] for each in json.loads(command("weights", "list", "--json").out)["weights"]} >= {"vgg16"}
    assert command("weights", "fetch", "vgg19").status == 2
    (fetched,) = json.loads(command("weights", "fetch", "efficientnet-lite2", "--json").out)["weights"]
    assert (fetched["name"], fetched["fetched"]) == ("efficientnet-lite2", False)
    assert Path(fetched["path"]).is_file()


def test_quiet_keeps_results_and_errors(command: Command, project: Path) -> None:
    assert command("--quiet", "runs").err == ""
    ended = command("--quiet", "runs", "compare", "a", "b")
    assert ended.err.startswith("gigatok-bench: run 'a' is unknown")


def test_set_is_checked_first_and_goes_without_profile(command: Command, project: Path) -> None:
    ended = command("repro", "--set", "base.sead=3", "--dry-run")
    assert (ended.status, "base.sead" in ended.err) == (2, True)
    assert command("train", "tokenizer", "S-S", "--set", "base.sead=3").status == 2
    assert "leave --profile out" in command("repro", "--set", "base.seed=3", "--profile", "nano").err


@pytest.mark.parametrize(
    "words",
    [
        "sample nothing --classes 0",
        "sample nothing --classes 0 --device tpu",
        "reconstruct nothing",
        "encode nothing a.png",
        "decode nothing a.npz",
        "decode nothing a.npz --output a.jpg",
        "time --device mps",
        "evaluate a b --device tpu",
        "tune tokenizer nothing",
        "tune guidance nothing",
        "train tokenizer nothing",
        "scaling --sizes nothing",
        "runs compare a b",
        "repro --set nothing=1",
    ],
)
def test_wrong_words_are_refused_before_torch_is_loaded(project: Path, words: str) -> None:
    code = (
        "import sys; from gigatok.cli import app; sys.argv[1:] = sys.argv[1].split()\n"
        "try: app.main()\n"
        "except SystemExit as ending: print(ending.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, words], capture_output=True, text=True, check=True)
    status, loaded = done.stdout.split()[-2:]
    assert int(status) in (1, 2), done.stderr
    assert done.stderr.startswith("gigatok-bench: ")
    assert loaded == "False"
