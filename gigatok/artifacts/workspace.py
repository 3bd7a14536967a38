"""Where the pipeline keeps its files, relative to the project's root."""

from __future__ import annotations

from pathlib import Path

from gigatok.artifacts.run_folder import RunFolder


class Workspace:
    """Paths of ``runs/`` and ``reports/`` below ``root``."""

    def __init__(self, root: Path | str = ".") -> None:
        self.root = Path(root)

    @property
    def runs(self) -> Path:
        """Everything that stages make, reports aside."""
        return self.root / "runs"

    @property
    def pipeline_lock(self) -> Path:
        """Names the process that brings the pipeline up to date."""
        return self.runs / ".locks" / "pipeline.lock"

    @property
    def data(self) -> Path:
        """Output of ``prepare``."""
        return self.runs / "data"

    @property
    def teacher(self) -> Path:
        """Output of ``teacher``."""
        return self.runs / "teacher"

    @property
    def reference(self) -> Path:
        """Output of ``reference``: features of real images, and baselines."""
        return self.runs / "reference"

    @property
    def reports(self) -> Path:
        """What people read."""
        return self.root / "reports"

    def tokenizer(self, name: str) -> RunFolder:
        """Folder of tokenizer ``name``."""
        return RunFolder(self.runs / "tokenizers" / name)

    def generator(self, name: str) -> RunFolder:
        """Folder of generator ``name``."""
        return RunFolder(self.runs / "generators" / name)
