"""Where tracking goes: the URI, its fingerprint, and the small files through which stages and feeder meet."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple
from urllib.parse import unquote

from gigatok.config import GigatokError, Section
from gigatok.config.sections import TrackingSection
from gigatok.tracking.experiments.folder import project_of_experiment
from gigatok.tracking.messages import without_user

_SQLITE = "sqlite:///"
FAILURES_IN_A_ROW = 3
"""Runs that fail one after the other before the rest is left for later."""


class Health(Section):
    """How the feeder fares with the server."""

    ok: bool
    error: str = ""
    time: float
    """Unix seconds of the last whole pass, or of the first failure."""


class Destination(NamedTuple):
    """One tracking URI as seen from one ``runs`` folder."""

    runs_root: Path
    uri: str
    experiment: str

    @property
    def fingerprint(self) -> str:
        """Names URI and experiment in files; the URI itself may hold a password."""
        return hashlib.sha256(f"{self.uri}\n{self.experiment}".encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """The URI without user and password. Never raises, whatever the setting holds."""
        return without_user(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether the URI is that of a server with pages of its own, rather than of a database."""
        return self.uri.startswith(("http://", "https://", "databricks"))

    @property
    def database(self) -> Path | None:
        """The file of a sqlite URI."""
        if not self.uri.startswith(_SQLITE):
            return None
        path, _, _ = self.uri.removeprefix(_SQLITE).partition("?")
        return Path(unquote(path)).absolute()

    def file(self, suffix: str) -> Path:
        """A file that stages and feeder share, e.g. ``health``."""
        return self.runs_root / ".tracking" / f"{self.fingerprint}.{suffix}"

    def health(self) -> Health | None:
        """The feeder's last report; ``None`` if it has not made one."""
        try:
            return Health.model_validate_json(self.file("health").read_bytes())
        except (OSError, ValueError):
            return None


def find_destination(section: TrackingSection, runs_root: Path) -> Destination:
    """The section's URI, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` beside the ``runs`` folder.

    Of an experiment in a copy of the project (``dvc exp run --temp``): beside the project's own ``runs``.
    """
    root = runs_root.resolve()
    project = project_of_experiment(root.parent) or root.parent
    uri = section.uri or os.environ.get("MLFLOW_TRACKING_URI") or sqlite_address(project / "mlflow.db")
    if uri.startswith(_SQLITE) and not uri.startswith(f"{_SQLITE}/"):
        folder = sqlite_address(project)
        uri = f"{folder}/{uri.removeprefix(_SQLITE)}"  # from any working directory
    return Destination(root, uri, section.experiment)


def sqlite_address(path: Path) -> str:
    """The URI of a database file. ``%`` and ``?`` in its path are quoted: SQLAlchemy reads them as parts of a URI."""
    return _SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock file ``path``; the system lets go of it if the process dies.

    Raises:
        GigatokError: another process still holds it after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    while (held := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise GigatokError(f"{path} is held by another process: wait for it, or end it")
        time.sleep(0.05)
    with held:
        yield


def try_lock(path: Path) -> IO[bytes] | None:
    """The locked file, to be closed by the caller; ``None`` if another process holds the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
