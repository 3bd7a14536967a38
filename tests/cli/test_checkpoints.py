"""reconstruct, encode, decode, sample and import-checkpoint on small untrained models."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import formula
import numpy as np
import pytest
import torch
from cli_harness import Command, small_tokenizer_config
from PIL import Image

from gigatok.cli.commands.sample import class_names, parse_classes
from gigatok.config import ConfigError, GigatokError
from gigatok.data import to_float, to_uint8
from gigatok.interop import load_ar_dir, load_tokenizer_dir, save_model
from gigatok.interop.official import export_tokenizer
from gigatok.models import Tokenizer
from gigatok.sampling import generate


def test_reconstruct_shows_originals_above_reconstructions(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out" / "grid.png"
    ended = command("reconstruct", str(tokenizer_folder), str(image_folder / "a.png"), "--output", str(output))
    assert ended.status == 0, ended.err
    assert "mean of 1 images of 16 px" in ended.out
    original = np.asarray(Image.open(image_folder / "a.png").convert("RGB"))
    model = load_tokenizer_dir(tokenizer_folder)
    pixels = torch.from_numpy(original.copy()).permute(2, 0, 1)[None]
    expected = to_uint8(model.reconstruct(to_float(pixels)).detach())[0].permute(1, 2, 0).numpy()
    grid = np.asarray(Image.open(output).resize((16, 32), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(grid[:16], original)
    np.testing.assert_array_equal(grid[16:], expected)


def test_encode_then_decode_is_reconstruct(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.npz"
    ended = command("encode", str(tokenizer_folder), str(image_folder), "--output", str(tokens))
    assert ended.status == 0, ended.err
    assert "3 images, 16 tokens each, 1 unreadable" in ended.out
    assert "broken.png" in ended.err
    manifest = json.loads((tmp_path / "tokens.json").read_text())
    assert [Path(file).name for file in manifest["files"]] == ["a.png", "b.jpg", "c.webp"]
    assert manifest["count"] == 3
    assert manifest["tokenizer"]["codebook_size"] == 32
    stored = np.load(tokens)["indices"]
    assert stored.dtype == np.uint16

    folder = tmp_path / "decoded"
    ended = command(
        *("decode", str(tokenizer_folder), str(tokens), "--images", str(folder)),
        *("--output", str(tmp_path / "grid.png"), "--batch-size", "2"),
    )
    assert ended.status == 0, ended.err
    model = load_tokenizer_dir(tokenizer_folder)
    expected = to_uint8(model.decode(torch.from_numpy(stored.astype(np.int64))).detach())
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["000000-a.png", "000001-b.png", "000002-c.png"]
    for name, image in zip(names, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / name)), image.permute(1, 2, 0).numpy())


def test_encode_says_what_it_left_out_and_how_it_read_pixels(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path
) -> None:
    (image_folder / "._a.png").write_bytes(bytes(60))
    (image_folder / "notes.txt").write_text("x")
    clear = Image.open(image_folder / "a.png").convert("RGBA")
    clear.putalpha(9)
    clear.save(image_folder / "10.png")
    clear.save(image_folder / "9.png")
    ended = command("encode", str(tokenizer_folder), str(image_folder), "--output", str(tmp_path / "t.npz"))
    assert ended.status == 0, ended.err
    assert "6 images taken, 2 left out: extension .txt 1 (notes.txt), hidden 1 (._a.png)" in ended.err
    assert "2 images with transparency: laid on white" in ended.err
    manifest = json.loads((tmp_path / "t.json").read_text())
    assert [Path(file).name for file in manifest["files"]][:2] == ["9.png", "10.png"]
    assert manifest["left_out"] == {"extension .txt": 1, "hidden": 1}
    assert (manifest["unreadable"], manifest["traits"]) == (1, {"transparency": 2})


def test_pipes_and_names_that_cannot_be_printed_are_refused(
    command: Command, tokenizer_folder: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "a\x1bc.png").write_bytes(b"x")
    for name, message in {"pipe.png": "neither a file nor a folder", "a\x1bc.png": r"a\x1bc.png has a name"}.items():
        ended = command("encode", str(tokenizer_folder), str(tmp_path / name))
        assert ended.status == 1
        assert message in ended.err
        assert len(ended.err.splitlines()) == 1


def test_decode_refuses_what_it_cannot_vouch_for(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.npz"
    command("encode", str(tokenizer_folder), str(image_folder / "a.png"), "--output", str(tokens))
    torch.manual_seed(7)
    config = small_tokenizer_config()
    save_model(tmp_path / "other", Tokenizer(config), config)
    ended = command("decode", str(tmp_path / "other"), str(tokens))
    assert ended.status == 1
    assert "made by another tokenizer" in ended.err

    content = bytearray(tokens.read_bytes())
    content[-30] ^= 1
    tokens.write_bytes(content)
    ended = command("decode", str(tokenizer_folder), str(tokens))
    assert ended.status == 1
    assert "is not the file that tokens.json describes" in ended.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tokens: tokens + 0.5, "float64 indices"),
        (lambda tokens: tokens + 1j, "complex128 indices"),
        (lambda tokens: tokens > 3, "bool indices"),
        (lambda tokens: tokens + 32, "not in 0..31 (codebook_size)"),
        (lambda tokens: tokens.astype(np.int32) - 100, "not in 0..31"),
        (lambda tokens: tokens[:, :5], "says whole numbers (1, 16)"),
        (lambda tokens: tokens[..., None], "says whole numbers (1, 16)"),
    ],
)
def test_tokens_that_are_none_are_refused(
    command: Command, tokenizer_folder: Path, image_folder: Path, tmp_path: Path, change: Any, message: str
) -> None:
    path = tmp_path / "tokens.npz"
    command("encode", str(tokenizer_folder), str(image_folder / "a.png"), "--output", str(path))
    np.savez(path, indices=change(np.load(path)["indices"]))
    manifest = json.loads(path.with_suffix(".json").read_text())
    manifest["tokens_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(manifest))
    ended = command("decode", str(tokenizer_folder), str(path))
    assert ended.status == 1
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_sample_draws_rows_of_classes(
    command: Command, tokenizer_folder: Path, generator_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "samples.png"
    words = ["sample", str(generator_folder), "--tokenizer", str(tokenizer_folder), "--classes", "4,1"]
    words += ["--per-class", "3", "--cfg-scale", "4", "--top-k", "1", "--output", str(output)]
    ended = command(*words)
    assert ended.status == 0, ended.err
    assert "6 images: rows are classes 4, 1" in ended.out
    assert Image.open(output).size == (3 * 16 * 3, 2 * 16 * 3)
    # top-k 1 leaves one choice: all samples of a class are the greedy one
    with torch.no_grad():
        greedy = generate(load_ar_dir(generator_folder), torch.tensor([4, 1]), cfg_scale=4.0, greedy=True)
        images = to_uint8(load_tokenizer_dir(tokenizer_folder).decode(greedy)).permute(0, 2, 3, 1).numpy()
    grid = np.asarray(Image.open(output).resize((48, 32), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(grid[:16, 32:], images[0])
    np.testing.assert_array_equal(grid[16:, :16], images[1])


def test_sample_needs_a_tokenizer_that_fits(command: Command, generator_folder: Path, tmp_path: Path) -> None:
    ended = command("sample", str(generator_folder), "--classes", "0")
    assert ended.status == 1
    assert "--tokenizer is needed" in ended.err
    config = small_tokenizer_config().replace(num_tokens=8)
    save_model(tmp_path / "short", Tokenizer(config), config)
    ended = command("sample", str(generator_folder), "--classes", "0", "--tokenizer", str(tmp_path / "short"))
    assert ended.status == 1
    assert "16 tokens of 32 codes, the tokenizer has 8 of 32" in ended.err


@pytest.mark.parametrize(("classes", "message"), [("5", "not in 0..4"), ("dog", "is no class")])
def test_sample_refuses_wrong_classes(
    command: Command, generator_folder: Path, tokenizer_folder: Path, classes: str, message: str
) -> None:
    ended = command("sample", str(generator_folder), "--tokenizer", str(tokenizer_folder), "--classes", classes)
    assert ended.status == 2
    assert message in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes=0,7"], "--classes: 7 is not in 0..4"),
        (["--classes=-5"], "--classes: -5 is not in 0..4"),
        (["--classes=0", "--seed=-1"], "--seed"),
        (["--classes=0", f"--seed={2**32}"], "--seed"),
        (["--classes=0", "--cfg-scale=0.5"], "--cfg-scale"),
        (["--classes=0", "--cfg-start=1.5"], "--cfg-start"),
        (["--classes=0", "--temperature=-1"], "--temperature"),
        (["--classes=0", "--top-k=-1"], "--top-k"),
        (["--classes=0", "--top-p=2"], "--top-p"),
        (["--classes=0", f"--batch-size={10**30}"], "--batch-size"),
        (["--classes=0", f"--per-class={10**30}"], "--per-class"),
    ],
)
def test_numbers_out_of_range_are_refused_before_a_model_is_loaded(
    command: Command, generator_folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    def loaded(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("gigatok.cli.files.models.open_generator", loaded)
    ended = command("sample", str(generator_folder), *words)
    assert ended.status == 2
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["encode", "decode", "reconstruct", "evaluate"])
def test_batches_larger_than_any_memory_are_refused_by_every_command(command: Command, name: str) -> None:
    ended = command(name, "x", "y", f"--batch-size={10**30}")
    assert ended.status == 2
    assert "--batch-size" in ended.err


def test_missing_model_names_both_places(command: Command, tmp_path: Path, image_folder: Path) -> None:
    ended = command("encode", "S-Q", str(image_folder))
    assert ended.status == 1
    assert "S-Q/config.json" in ended.err
    assert "runs/tokenizers/S-Q/config.json" in ended.err


@pytest.mark.parametrize(
    ("output", "status", "message"),
    [
        ("grid.jpg", 2, "grid.jpg is not a .png file"),
        ("full.png", 2, "full.png is a folder"),
        ("file.txt/grid.png", 1, "file.txt cannot be made"),
    ],
)
def test_output_is_checked_before_anything_is_computed(
    command: Command, tmp_path: Path, output: str, status: int, message: str
) -> None:
    (tmp_path / "full.png").mkdir()
    (tmp_path / "file.txt").write_text("")
    ended = command("reconstruct", "no-such-model", "--output", str(tmp_path / output))
    assert ended.status == status
    assert message in ended.err


def test_tokens_go_to_an_npz_only(command: Command) -> None:
    ended = command("encode", "no-such-model", "no-such-folder", "--output", "tokens")
    assert ended.status == 2
    assert "--output tokens is not a .npz file" in ended.err


def test_a_device_that_is_not_there_is_named_as_it_was_given(
    command: Command, tokenizer_folder: Path, image_folder: Path
) -> None:
    for device in {"cuda", "mps"} - {"cuda" if torch.cuda.is_available() else ""}:
        if device == "mps" and torch.backends.mps.is_available():
            continue
        ended = command("reconstruct", str(tokenizer_folder), str(image_folder), "--device", device)
        assert ended.status == 2
        assert f"--device {device}: this machine has none: use auto or cpu" in ended.err


def test_a_folder_named_like_an_image_is_left_out(
    command: Command, tmp_path: Path, tokenizer_folder: Path, image_folder: Path
) -> None:
    (image_folder / "z.png").mkdir()
    ended = command("encode", str(tokenizer_folder), str(image_folder), "--output", str(tmp_path / "new" / "t.npz"))
    assert ended.status == 0, ended.err
    assert "left out" in ended.err
    assert "z.png" in ended.err
    assert (tmp_path / "new" / "t.json").exists()


def test_an_official_file_makes_the_round_trip(command: Command, tmp_path: Path) -> None:
    state = formula.state_dict(formula.shapes("VQ_SS256"))
    file = tmp_path / "VQ_SS256_e100.pt"
    torch.save({"ema": state, "args": argparse.Namespace(codebook_size=16384)}, file)
    folder = tmp_path / "imported"
    ended = command("import-checkpoint", str(file), "--name", "S-S", "--output", str(folder), "--json")
    assert ended.status == 0, ended.err
    report = json.loads(ended.out)
    assert report["parameters"] == 136_073_227
    assert report["source"]["state"] == "ema"
    assert list(report["source"]["unused"]) == ["quantize.codebook_used"]
    assert report["source"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert report["weights_sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    again = export_tokenizer(load_tokenizer_dir(folder))
    assert again.keys() == state.keys() - {"quantize.codebook_used"}
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.items())


def test_a_hostile_pickle_is_refused_unread(command: Command, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'exploded'}",)

    file = tmp_path / "bomb.pt"
    torch.save({"model": {"weight": torch.zeros(1)}, "args": Bomb()}, file)
    ended = command("import-checkpoint", str(file), "--name", "S-S", "--output", str(tmp_path / "imported"))
    assert ended.status == 1
    assert "is refused and was not run" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "imported").exists()


def test_import_says_which_names_there_are(command: Command, tmp_path: Path) -> None:
    ended = command("import-checkpoint", str(tmp_path / "x.pt"), "--name", "B-XL")
    assert ended.status == 2
    assert "S-S, S-B" in ended.err
    ended = command("import-checkpoint", str(tmp_path / "x.pt"), "--name", "S-S")
    assert ended.status == 1
    assert "x.pt does not exist" in ended.err


def test_classes_are_taken_by_number_name_or_beginning() -> None:
    names = ["Food & Drink", "Flags", "Animals"]
    assert parse_classes("2, food & drink,FL", names) == [2, 0, 1]
    for text, why in (
        ("f", "begins several classes"),
        ("cars", "is no class"),
        ("3", "0..2"),
        ("-1", "0..2"),
        ("9" * 5000, "9{40} is not in 0..2"),
        ("--5", "'--5' is no class"),
        ("\N{SUPERSCRIPT TWO}", "is no class"),
        ("", "is no"),
    ):
        with pytest.raises(ConfigError, match=why):
            parse_classes(text, names)


def test_the_list_of_classes_is_printed(command: Command, generator_folder: Path) -> None:
    ended = command("sample", str(generator_folder), "--classes", "list")
    assert ended.out.splitlines() == [f"{number}  {number}" for number in range(5)]


def test_names_of_classes_are_known_in_every_folder_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(folder: Path) -> SimpleNamespace:
        if folder != tmp_path / "project" / "runs" / "data":
            raise GigatokError(f"{folder} holds no data")
        return SimpleNamespace(summary=SimpleNamespace(classes=("Flags", "Food")))

    monkeypatch.setattr("gigatok.data.PreparedData.open", opened)
    deep = tmp_path / "project" / "notes" / "today"
    deep.mkdir(parents=True)
    (tmp_path / "project" / "dvc.yaml").write_text("stages: {}\n")
    for folder, names in ((deep, ["Flags", "Food"]), (tmp_path / "project", ["Flags", "Food"]), (tmp_path, ["0", "1"])):
        monkeypatch.chdir(folder)
        assert class_names(2) == names
