"""Trainings past and present: listed, compared, restored."""

import json
from pathlib import Path

import pytest

from gigatok.artifacts import Protocol, RunFolder, RunIdentity, Score, ScoreSheet, Workspace, write_json
from gigatok.config import ConfigError, GigatokError
from gigatok.pipeline.trainings.comparison import compare, verdict
from gigatok.pipeline.trainings.listing import Training, find_pair, find_training, list_trainings
from gigatok.pipeline.trainings.previous import all_with_previous, find_with_previous, main_score_pairs
from gigatok.pipeline.trainings.restore import restore

PROTOCOL = Protocol(extractor="tiny", sample_count=36)


def identity(**settings: float) -> RunIdentity:
    values = {"train_tokenizer": {"steps": 12, "loss": settings or {"semantic_weight": 0.5}}}
    return RunIdentity.of(values, {"images": "ab"}, {"gigatok.models.vit": "cd"})


def train(root: Path, name: str = "S-S", *, rfid: float = 9.0, complete: bool = True, **settings: float) -> RunFolder:
    run = Workspace(root).tokenizer(name)
    made = identity(**settings)
    known = {"fingerprint": made.fingerprint, "identity": made.model_dump(mode="json"), "complete": complete,
             "started": "2026-11-20T08:00:00Z", "commit": "0123456789abcdef", "dirty": False}  # fmt: skip
    ended = {"finished": "2026-11-20T09:30:00Z", "seconds": 5400.0} if complete else {}
    write_json(run.provenance_path, {**known, **ended})
    write_json(run.curves_path, {"loss": [[step, rfid / step] for step in range(1, 13)]})
    score = Score(metric="rfid/tiny", value=rfid, interval=(rfid - 1, rfid + 1), protocol=PROTOCOL)
    ScoreSheet(name=name, kind="tokenizer", scores=(score,)).write(run.summary_path)
    return run


def train_generator(root: Path, name: str = "S-S", *, gfid: float = 50.0, complete: bool = True) -> RunFolder:
    run = Workspace(root).generator(name)
    made = RunIdentity.of({"train_generator": {"steps": 8}}, {"tokens": name + str(gfid)}, {"gigatok.models.ar": "ef"})
    known = {"fingerprint": made.fingerprint, "identity": made.model_dump(mode="json"), "complete": complete}
    write_json(run.provenance_path, {**known, "finished": "2026-11-21T09:30:00Z"})
    score = Score(metric="gfid/tiny", value=gfid, interval=(gfid - 1, gfid + 1), protocol=PROTOCOL)
    ScoreSheet(name=name, kind="generator", scores=(score,)).write(run.summary_path)
    return run


def remembered(root: Path, **more: object) -> str:
    """A finished training of which only the provenance is left."""
    gone = identity(semantic_weight=2.0)
    known = {"fingerprint": gone.fingerprint, "identity": gone.model_dump(mode="json"), "complete": True, **more}
    write_json(root / "runs" / ".finished" / f"{gone.fingerprint}.json", known)
    return gone.fingerprint


def test_all_trainings_are_listed_with_where_they_stand(tmp_path: Path) -> None:
    train(tmp_path, semantic_weight=0.25).set_aside()
    train(tmp_path)
    train(tmp_path, "B-L", complete=False)
    gone = remembered(tmp_path)
    found = {each.place: each for each in list_trainings(tmp_path)}
    assert {place: each.state for place, each in found.items()} == {
        "tokenizers/B-L": "unfinished",
        "tokenizers/S-S": "finished",
        ".old/tokenizers-S-S-1": "set aside",
        f".finished/{gone}": "in cache",
    }
    assert found["tokenizers/S-S"].as_json()["scores"] == {"rfid/tiny": 9.0}
    assert (found["tokenizers/S-S"].steps, found["tokenizers/S-S"].seconds) == (12, 5400.0)


def test_a_finished_run_that_is_there_is_not_listed_twice(tmp_path: Path) -> None:
    run = train(tmp_path)
    write_json(tmp_path / "runs" / ".finished" / "x.json", json.loads(run.provenance_path.read_text()))
    assert [each.place for each in list_trainings(tmp_path)] == ["tokenizers/S-S"]


def test_runs_are_found_by_place_name_and_digits(tmp_path: Path) -> None:
    train(tmp_path, semantic_weight=0.25).set_aside()
    train(tmp_path)
    assert find_training(tmp_path, "S-S").place == "tokenizers/S-S"
    old = find_training(tmp_path, ".old/tokenizers-S-S-1")
    assert find_training(tmp_path, old.fingerprint[:6]).place == old.place
    with pytest.raises(ConfigError, match=r"run 'S-B' is unknown: known are tokenizers/S-S, \.old/tokenizers-S-S-1"):
        find_training(tmp_path, "S-B")


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        ("S-S", ".old/tokenizers-S-S-1", ("tokenizers/S-S", ".old/tokenizers-S-S-1")),
        ("S-S", ".old/generators-S-S-1", ("generators/S-S", ".old/generators-S-S-1")),
        (".old/generators-S-S-1", "S-S", (".old/generators-S-S-1", "generators/S-S")),
        ("S-S", "generators/S-S", ("generators/S-S", "generators/S-S")),
        ("S-S", "AR-only", ("generators/S-S", "generators/AR-only")),  # the other name is a generator's alone
        ("S-S", "S-S", ("tokenizers/S-S", "tokenizers/S-S")),
        ("B-L", "AR-only", ("tokenizers/B-L", "generators/AR-only")),  # there is no common kind
    ],
)
def test_a_name_of_a_tokenizer_and_a_generator_is_of_the_others_kind(
    tmp_path: Path, left: str, right: str, found: tuple[str, str]
) -> None:
    train(tmp_path, semantic_weight=0.25).set_aside()
    train_generator(tmp_path, gfid=60.0).set_aside()
    train(tmp_path)
    train(tmp_path, "B-L")
    train_generator(tmp_path)
    train_generator(tmp_path, "AR-only")
    assert tuple(each.place for each in find_pair(tmp_path, left, right)) == found
    assert find_training(tmp_path, "S-S").place == "tokenizers/S-S"
    assert find_training(tmp_path, "AR-only").place == "generators/AR-only"
    with pytest.raises(ConfigError, match="run tokenizers/S-S is in its place already"):
        restore(tmp_path, "S-S")


def places(pair: tuple[Training, Training]) -> tuple[str, str]:
    return pair[0].place, pair[1].place


def test_the_run_before_is_the_one_of_its_name_that_was_set_aside_last(tmp_path: Path) -> None:
    for number in range(11):  # -9 comes before -10, though not as words
        train(tmp_path, rfid=20.0 + number, semantic_weight=0.1 + number).set_aside()
    train(tmp_path, complete=False, semantic_weight=0.7).set_aside()  # stopped half-way: there is nothing to compare
    train(tmp_path)
    train(tmp_path, "S-S-no-sem").set_aside()
    train(tmp_path, "B-L")
    assert places(find_with_previous(tmp_path, "S-S")) == ("tokenizers/S-S", ".old/tokenizers-S-S-11")
    older = find_with_previous(tmp_path, ".old/tokenizers-S-S-11")
    assert places(older) == (".old/tokenizers-S-S-11", ".old/tokenizers-S-S-10")
    with pytest.raises(ConfigError, match="run tokenizers/B-L: no other run of its name was set aside"):
        find_with_previous(tmp_path, "B-L")
    assert [places(pair) for pair in all_with_previous(tmp_path)] == [("tokenizers/S-S", ".old/tokenizers-S-S-11")]


def test_of_a_shared_name_the_one_that_has_a_run_before_is_meant(tmp_path: Path) -> None:
    train_generator(tmp_path, gfid=60.0).set_aside()
    train_generator(tmp_path)
    train(tmp_path)
    assert places(find_with_previous(tmp_path, "S-S")) == ("generators/S-S", ".old/generators-S-S-1")
    train(tmp_path, rfid=9.5).set_aside()
    train(tmp_path, complete=False)
    assert places(find_with_previous(tmp_path, "S-S")) == ("tokenizers/S-S", ".old/tokenizers-S-S-1")
    found = {now.place: main_score_pairs(now, before) for now, before in all_with_previous(tmp_path)}
    assert {place: {key: pair.verdict for key, pair in pairs.items()} for place, pairs in found.items()} == {
        "tokenizers/S-S": {"rfid": "no clear difference"},
        "generators/S-S": {"gfid": "differ"},
    }
    pair = found["generators/S-S"]["gfid"]
    assert (pair.left and pair.left.value, pair.right and pair.right.value) == (50.0, 60.0)


def test_two_trainings_differ_in_what_was_set(tmp_path: Path) -> None:
    train(tmp_path, rfid=9.0, semantic_weight=0.25).set_aside()
    train(tmp_path, rfid=12.0)
    found = compare(find_training(tmp_path, ".old/tokenizers-S-S-1"), find_training(tmp_path, "S-S"))
    assert [str(each) for each in found.differences or ()] == ["train_tokenizer.loss.semantic_weight 0.25 -> 0.5"]
    assert [(pair.metric, pair.verdict) for pair in found.scores] == [("rfid/tiny", "differ")]
    assert found.curves[0].points[-1] == (12, 0.75, 1.0)
    assert json.loads(json.dumps(found.as_json()))["scores"][0]["left"]["value"] == 9.0


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((10.0, (9.0, 11.0)), (11.5, (10.5, 12.5)), "differ"),  # 1.5 > sqrt(2)
        ((10.0, (9.0, 11.0)), (11.3, (10.3, 12.3)), "no clear difference"),  # 1.3 < sqrt(2)
        ((10.0, (9.0, 10.1)), (11.0, (10.9, 12.0)), "differ"),  # only the sides that face each other count
        ((10.0, None), (11.0, (10.0, 12.0)), "no interval"),
        ((10.0, None), (10.0, None), "equal"),
    ],
)
def test_scores_differ_where_they_are_apart_beyond_both_intervals(
    left: tuple[float, tuple[float, float] | None], right: tuple[float, tuple[float, float] | None], expected: str
) -> None:
    one, two = (Score(metric="rfid/tiny", value=v, interval=i, protocol=PROTOCOL) for v, i in (left, right))
    assert verdict(one, two) == verdict(two, one) == expected
    other = two.replace(protocol=PROTOCOL.replace(sample_count=99))
    assert verdict(one, other) == "measured differently"
    assert verdict(one, None) == "only one"


def test_a_run_that_was_set_aside_comes_back_and_the_other_makes_room(tmp_path: Path) -> None:
    train(tmp_path, rfid=9.0, semantic_weight=0.25).set_aside()
    train(tmp_path, rfid=12.0)
    done = restore(tmp_path, ".old/tokenizers-S-S-1")
    assert find_training(tmp_path, "S-S").main_scores() == {"rfid": 9.0}
    assert done.aside is not None
    assert [str(each) for each in done.differences or ()] == ["train_tokenizer.loss.semantic_weight 0.5 -> 0.25"]
    again = restore(tmp_path, f".old/{done.aside.name}")
    assert find_training(tmp_path, "S-S").main_scores() == {"rfid": 12.0}
    assert again.training.name == "S-S"


def test_what_cannot_be_restored_changes_nothing(tmp_path: Path) -> None:
    train(tmp_path, rfid=12.0)
    gone = remembered(tmp_path, outputs={"weights.safetensors": {"sha256": "0" * 64, "md5": "0" * 32, "bytes": 3}})
    with pytest.raises(ConfigError, match="in its place already"):
        restore(tmp_path, "S-S")
    with pytest.raises(ConfigError, match="--name S-S"):
        restore(tmp_path, gone)
    with pytest.raises(GigatokError, match="DVC's cache does not hold its files"):
        restore(tmp_path, gone, "S-S")
    assert find_training(tmp_path, "S-S").main_scores() == {"rfid": 12.0}
