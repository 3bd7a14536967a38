"""Stored samples: equal to a plain run for any batch size, resumed after a kill, a prefix of larger sets."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gigatok.config import ArConfig
from gigatok.evaluation.store import features
from gigatok.evaluation.store import samples as sample_store
from gigatok.evaluation.store.features import extraction_code
from gigatok.evaluation.store.samples import SampleStore, sampling_code
from gigatok.models import ArModel
from gigatok.sampling import SampleSpec, sample_classes, sample_many


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ArModel:
    monkeypatch.setattr(sample_store, "PART", 4)
    torch.manual_seed(0)
    config = ArConfig(width=16, depth=1, heads=2, ffn_multiple_of=8, codebook_size=11, num_tokens=4, num_classes=3)
    ar = ArModel(config).eval()
    for parameter in ar.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return ar


def stored_indices(
    root: Path, ar: ArModel, weights: str, count: int, *, seed: int, spec: SampleSpec, batch_size: int = 64
) -> torch.Tensor:
    return SampleStore(root, ar, weights, seed, spec, batch_size).collect(count)


def test_equal_to_a_plain_run_and_a_prefix_of_a_larger_one(model: ArModel, tmp_path: Path) -> None:
    spec = SampleSpec(cfg_scale=1.5)
    small = stored_indices(tmp_path, model, "w", 6, seed=3, spec=spec, batch_size=2)
    large = stored_indices(tmp_path, model, "w", 10, seed=3, spec=spec, batch_size=5)
    plain = sample_many(model, sample_classes(10, 3), 3, 10, **spec.model_dump())
    assert torch.equal(large, plain)
    assert torch.equal(small, plain[:6])


def test_a_killed_run_goes_on_where_it_stopped(model: ArModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def flaky(ar: ArModel, classes: torch.Tensor, *args: object, **settings: object) -> torch.Tensor:
        if drawn == [4, 4]:
            drawn.append(0)
            raise KeyboardInterrupt
        drawn.append(len(classes))
        return sample_many(ar, classes, *args, **settings)

    monkeypatch.setattr(sample_store, "sample_many", flaky)
    with pytest.raises(KeyboardInterrupt):
        stored_indices(tmp_path, model, "w", 12, seed=0, spec=SampleSpec())
    found = stored_indices(tmp_path, model, "w", 12, seed=0, spec=SampleSpec())
    assert drawn == [4, 4, 0, 4]
    assert torch.equal(found, sample_many(model, sample_classes(12, 3), 0, 5))


_WORKER = """
import sys, time
import torch
from pathlib import Path
from gigatok.config import ArConfig
from gigatok.evaluation.store import samples as sample_store
from gigatok.models import ArModel
from gigatok.sampling import SampleSpec

root, seconds = Path(sys.argv[1]), float(sys.argv[2])
sample_store.PART = 4
torch.manual_seed(0)
ar = ArModel(ArConfig(width=16, depth=1, heads=2, ffn_multiple_of=8, codebook_size=11, num_tokens=4, num_classes=3))
for parameter in ar.eval().parameters():
    torch.nn.init.normal_(parameter, std=0.3)
draw = sample_store.sample_many

def slow(*args, **settings):
    found = draw(*args, **settings)
    print("part", flush=True)
    time.sleep(seconds)
    return found

sample_store.sample_many = slow
sample_store.SampleStore(root, ar, "w", 0, SampleSpec()).collect(20)
print("done", flush=True)
"""


def _worker(root: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WORKER, str(root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _lines(worker: subprocess.Popen[str]) -> list[str]:
    return worker.communicate(timeout=120)[0].split()


def test_a_process_that_is_killed_at_80_percent_loses_no_finished_part(model: ArModel, tmp_path: Path) -> None:
    worker = _worker(tmp_path, 0.1)
    assert worker.stdout is not None
    for _ in range(5):  # the fifth part is drawn, not yet stored
        assert worker.stdout.readline() == "part\n"
    worker.kill()
    worker.wait()
    assert _lines(_worker(tmp_path, 0.0)) == ["part", "done"]
    found = stored_indices(tmp_path, model, "w", 20, seed=0, spec=SampleSpec())
    assert torch.equal(found, sample_many(model, sample_classes(20, 3), 0, 20))


def test_two_processes_on_one_set_give_what_one_gives(model: ArModel, tmp_path: Path) -> None:
    workers = [_worker(tmp_path, 0.05) for _ in range(2)]
    assert [_lines(worker)[-1] for worker in workers] == ["done", "done"]
    found = stored_indices(tmp_path, model, "w", 20, seed=0, spec=SampleSpec())
    assert torch.equal(found, sample_many(model, sample_classes(20, 3), 0, 20))


def test_weights_sampler_and_seed_make_other_entries(model: ArModel, tmp_path: Path) -> None:
    base = stored_indices(tmp_path, model, "w", 8, seed=0, spec=SampleSpec())
    others = [
        stored_indices(tmp_path, model, "w", 8, seed=1, spec=SampleSpec()),
        stored_indices(tmp_path, model, "w", 8, seed=0, spec=SampleSpec(temperature=3.0)),
    ]
    assert all(not torch.equal(base, other) for other in others)
    stored_indices(tmp_path, model, "v", 8, seed=0, spec=SampleSpec())
    assert len({path.parent for path in tmp_path.rglob("key.json")}) == 4
    assert np.asarray(base).dtype == np.int64


def test_what_old_code_draws_is_not_kept_under_the_key_of_new_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is edited while a stage runs: what is in memory draws on."""
    before = [sampling_code(), extraction_code()]
    monkeypatch.setattr(sample_store, "code_fingerprint", lambda _: "edited")
    monkeypatch.setattr(features, "code_fingerprint", lambda _: "edited")
    assert [sampling_code(), extraction_code()] == before
    code = "import sys; import gigatok.evaluation.store.samples as s, gigatok.evaluation.store.features as f; "
    code += "s.code_fingerprint = f.code_fingerprint = None; print(s.sampling_code(), f.extraction_code())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).split() == before
