from pathlib import Path

from gigatok.artifacts import RunFolder, Workspace


def test_an_old_run_is_moved_aside_under_a_new_number_each_time(tmp_path: Path) -> None:
    run = Workspace(tmp_path).tokenizer("S-S")
    for number in (1, 2):
        run.path.mkdir(parents=True)
        run.config_path.write_text(str(number))
        assert run.set_aside() == tmp_path / "runs" / ".old" / f"tokenizers-S-S-{number}"
        assert not run.path.exists()
    assert (tmp_path / "runs" / ".old" / "tokenizers-S-S-2" / "config.json").read_text() == "2"


def test_nothing_is_moved_where_nothing_is(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "runs" / "generators" / "S-S")
    assert run.set_aside() is None
    run.path.mkdir(parents=True)
    assert run.set_aside() is None
    assert (run.name, run.kind) == ("S-S", "generators")


def test_an_old_run_is_taken_back_and_numbers_go_on(tmp_path: Path) -> None:
    run = Workspace(tmp_path).tokenizer("T")
    others = ("tokenizers-T-1-1", "tokenizers-T-no-sem-9", "generators-T-7")
    for name in others:
        (tmp_path / "runs" / ".old" / name).mkdir(parents=True)
    for number in range(1, 12):
        run.path.mkdir(parents=True)
        run.config_path.write_text(str(number))
        run.set_aside()
    names = [path.name for path in run.set_aside_before()]
    assert names[:3] == ["tokenizers-T-11", "tokenizers-T-10", "tokenizers-T-9"]
    assert len(names) == 11
    run.take_back(run.set_aside_before()[1])
    assert run.config_path.read_text() == "10"
    moved = run.set_aside()
    assert moved is not None
    assert moved.name == "tokenizers-T-12"


def test_files_have_the_agreed_names(tmp_path: Path) -> None:
    run = Workspace(tmp_path).generator("S-S")
    paths = (run.weights_path, run.config_path, run.indices_path, run.journal_path, run.curves_path)
    names = [path.relative_to(tmp_path / "runs/generators/S-S").as_posix() for path in paths]
    assert names == ["weights.safetensors", "config.json", "indices.npz", "metrics.jsonl", "curves.json"]
    assert [run.summary_path.name, run.provenance_path.name, run.state_dir.name] == [
        "summary.json",
        "provenance.json",
        "state",
    ]


def test_names_that_lead_out_of_the_folder_are_no_files_of_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "tokenizers" / "T")
    (run.path / "grids").mkdir(parents=True)
    (run.path / "grids" / "0.png").write_bytes(b"x")
    (tmp_path / "secret").write_text("x")
    (run.path / "link").symlink_to(tmp_path / "secret")
    (run.path / "circle").symlink_to("circle")
    assert run.file_inside("grids/0.png") == (run.path / "grids" / "0.png").resolve()
    for name in ("../../secret", str(tmp_path / "secret"), "link", "circle", "grids", "gone", "a\0b", "x" * 5000, ""):
        assert run.file_inside(name) is None, name
