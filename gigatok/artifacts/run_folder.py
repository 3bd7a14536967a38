"""Where a run keeps its files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class RunFolder:
    """``runs/tokenizers/<T>`` or ``runs/generators/<G>``: the names of its files."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def name(self) -> str:
        """The tokenizer's or generator's name."""
        return self.path.name

    @property
    def kind(self) -> str:
        """Name of the folder above: ``tokenizers`` or ``generators``."""
        return self.path.resolve().parent.name

    @property
    def weights_path(self) -> Path:
        """Final weights."""
        return self.path / "weights.safetensors"

    @property
    def config_path(self) -> Path:
        """The network's shape and the settings it was trained with."""
        return self.path / "config.json"

    @property
    def indices_path(self) -> Path:
        """A tokenizer's indices of all images."""
        return self.path / "indices.npz"

    @property
    def journal_path(self) -> Path:
        """Every logged value with its time; grows."""
        return self.path / "metrics.jsonl"

    @property
    def curves_path(self) -> Path:
        """The journal's values without times: equal runs, equal files."""
        return self.path / "curves.json"

    @property
    def summary_path(self) -> Path:
        """Final scores (``ScoreSheet``)."""
        return self.path / "summary.json"

    @property
    def metrics_path(self) -> Path:
        """The scores as metric and value alone, for ``dvc metrics``."""
        return self.path / "metrics.json"

    @property
    def plots_path(self) -> Path:
        """The curves as rows, one file a plot, for ``dvc plots``."""
        return self.path / "plots"

    @property
    def details_path(self) -> Path:
        """Arrays behind the scores: what each image adds, what each token position holds."""
        return self.path / "details.npz"

    @property
    def provenance_path(self) -> Path:
        """When, where and how fast; never a dependency of another stage."""
        return self.path / "provenance.json"

    @property
    def state_dir(self) -> Path:
        """Resumable training states."""
        return self.path / "state"

    @property
    def lock_path(self) -> Path:
        """Names the process that trains here."""
        return self.path.resolve().parent.parent / ".locks" / f"{self.kind}-{self.name}.lock"

    @property
    def pictures_path(self) -> Path:
        """A tokenizer's reconstructions beside their originals (``TokenizerPictures``)."""
        return self.path / "pictures.npz"

    @property
    def samples_path(self) -> Path:
        """A generator's samples (``GeneratorSamples``)."""
        return self.path / "samples.npz"

    @property
    def checkpoint_indices_path(self) -> Path:
        """Indices made from an intermediate checkpoint, beside the generator that uses them."""
        return self.path.parent / f"{self.name}.indices.npz"

    def file_inside(self, name: str) -> Path | None:
        """The regular file ``name`` of this folder; ``None`` if there is none, or the name or a link leads out of it.

        Names come from files that a folder from elsewhere brings along.
        """
        root = self.path.resolve()
        try:
            path = (root / name).resolve()
            return path if path.is_relative_to(root) and path.is_file() else None
        except (OSError, ValueError, RuntimeError):  # too long, a NUL, links in a circle
            return None

    def checkpoint_path(self, step: int) -> Path:
        """Weights kept after ``step`` updates (setting ``keep_steps``)."""
        return self.path / "checkpoints" / f"step-{step:07d}.safetensors"

    def set_aside(self) -> Path | None:
        """Move the folder to ``runs/.old/<kind>-<name>-<n>`` and return that place; ``None`` if empty.

        Used when settings changed: an old run is kept for the user, never continued.
        """
        if not self.path.is_dir() or not any(self.path.iterdir()):
            return None
        number = max((_number(old) for old in self.set_aside_before()), default=0) + 1
        self._old.mkdir(parents=True, exist_ok=True)
        return self.path.rename(self._old / f"{self.kind}-{self.name}-{number}")

    def set_aside_before(self) -> list[Path]:
        """Where runs of this name were moved to by ``set_aside``, the newest first."""
        prefix = f"{self.kind}-{self.name}-"
        found = (path for path in self._old.glob(f"{prefix}*") if path.name[len(prefix) :].isdecimal())
        return sorted(found, key=_number, reverse=True)

    def take_back(self, old: Path) -> None:
        """Move a folder of ``set_aside_before`` to its place again, which must be free."""
        if self.path.is_dir():
            self.path.rmdir()
        old.rename(self.path)
        with suppress(OSError):  # others are still there
            self._old.rmdir()

    @property
    def _old(self) -> Path:
        return self.path.resolve().parent.parent / ".old"


def _number(old: Path) -> int:
    return int(old.name.rpartition("-")[2])
