"""MLflow's SQLite file: made whole or not at all, found again after a move, and what is wrong with it in one line."""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from gigatok.artifacts import replacing
from gigatok.config import GigatokError
from gigatok.tracking.destination import Destination, locked, sqlite_address
from gigatok.tracking.messages import one_line
from gigatok.tracking.mlflow.deadline import deadline

LOCK_SECONDS = 120.0
"""How long another process may take to make the tables."""
_STILL_SECONDS = 5.0
"""A file of unfinished tables that has not changed for so long is nobody's work any more."""
_BUSY_SECONDS = 5.0


class Schema(NamedTuple):
    """What a database file says about itself."""

    revision: str | None
    """Version of the tables, as MLflow's migrations name it; ``None``: there are no finished tables."""
    runs: int


@contextmanager
def ready_database(destination: Destination) -> Iterator[None]:
    """Hold the database's lock while it is opened; its tables are there, and of this MLflow.

    Raises:
        GigatokError: it cannot be used: what is wrong, and the fix.
    """
    database = destination.database
    if database is None:
        yield
        return
    if database.is_dir():
        raise GigatokError(f"{database} is a folder, and MLflow's database is a file: move the folder away")
    strays = _missing_folders(destination.uri)
    # two processes that create the tables of one database at once both fail
    with locked(database.with_name(database.name + ".lock"), LOCK_SECONDS):
        _prepare(database)
        yield
    for folder in strays:  # MLflow makes the folder that an address with %25 would mean without quoting
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def artifact_root(database: Path) -> Path:
    """Where the artifacts of a database lie: beside it."""
    return database.parent / "mlartifacts"


def _prepare(database: Path) -> None:
    for left in database.parent.glob(f".{database.name}.*.part*"):  # of processes that were killed
        left.unlink(missing_ok=True)
    if not database.exists():
        _create(database)
        return
    schema = _examine(database)
    head = _newest_revision()
    if schema.revision == head:
        _follow_move(database)
        return
    if schema.runs == 0 and schema.revision in (None, *_known_revisions()):
        _wait_until_still(database)
        if _examine(database).revision != head:
            _set_aside(database)
            _create(database)
        return
    raise GigatokError(_other_version(database, schema))


def _create(database: Path) -> None:
    """Make the tables beside the place, then move the file there: killed half-way, nothing is there."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    make: Any = SqlAlchemyStore
    with replacing(database) as temporary, deadline(LOCK_SECONDS, f"making {database.name}"):
        store = make(sqlite_address(temporary), artifact_root(database).as_uri())
        store.engine.dispose()


def _examine(database: Path) -> Schema:
    try:
        with _opened(database) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows = connection.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else ()
            revision = next((str(value) for (value,) in rows), None)
            runs = connection.execute("SELECT count(*) FROM runs").fetchone()[0] if "runs" in tables else 0
            return Schema(revision, int(runs))
    except sqlite3.OperationalError as error:
        raise GigatokError(f"{database} cannot be opened ({one_line(error)}): end what uses it, or check it") from None
    except sqlite3.DatabaseError as error:
        raise GigatokError(
            f"{database} is damaged or no database ({one_line(error)}): move it away, 'gigatok-bench track sync' makes "
            "it again from the run folders"
        ) from None


def _follow_move(database: Path) -> None:
    """Point artifacts to where they lie now, if the folder with database and artifacts was moved or copied.

    Each kind of address by itself: what an earlier version of this function passed over is put right, too.
    """
    here = artifact_root(database)
    if not here.is_dir():
        return
    with _opened(database) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table, column in (each for each in _PLACES if each[0] in tables):
            found = connection.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
            for place in {_root(each) for (each,) in found} - {here.as_uri(), None}:
                there = _folder(place or "")
                if there is not None and not there.is_dir():
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (here.as_uri(), len(place or "") + 1, len(place or ""), place),
                    )
        connection.commit()


_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
"""Columns with addresses of artifacts."""


def _root(place: str) -> str | None:
    """``.../mlartifacts`` of a location in or at such a folder."""
    head, found, _ = place.partition("/mlartifacts")
    return head + found if found and place.startswith("file:") else None


def _folder(place: str) -> Path | None:
    return Path(unquote(urlsplit(place).path)) if place.startswith("file:") else None


def _migrations() -> Any:
    """The migrations of the installed MLflow."""
    import mlflow.store.db_migrations as migrations
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(Path(migrations.__file__).parent))


def _newest_revision() -> str:
    return str(_migrations().get_current_head())


def _known_revisions() -> set[str]:
    """All revisions that this MLflow can bring up to date."""
    return {each.revision for each in _migrations().walk_revisions()}


def _other_version(database: Path, schema: Schema) -> str:
    from mlflow.version import VERSION

    again = "or move the file away: 'gigatok-bench track sync' makes a new one from the run folders"
    if schema.revision in _known_revisions():
        command = f"{sys.executable} -m mlflow db upgrade {sqlite_address(database)}"
        return f"{database} was made by an older MLflow: copy it, then run '{command}'; {again}"
    return (
        f"{database} was made by another MLflow (tables {schema.revision}) than the installed {VERSION}: install that "
        f"one, {again}"
    )


def _wait_until_still(database: Path) -> None:
    """Until nobody has written for a while: another program may be making the tables just now."""
    begin, seen = time.monotonic(), -1
    since = begin
    while time.monotonic() - since < _STILL_SECONDS and time.monotonic() - begin < LOCK_SECONDS:
        changed = database.stat().st_mtime_ns
        if changed != seen:
            seen, since = changed, time.monotonic()
        time.sleep(0.1)


def _set_aside(database: Path) -> None:
    number = 1
    while (target := database.with_name(f"{database.name}.unfinished-{number}")).exists():
        number += 1
    database.rename(target)
    for suffix in ("-journal", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database, timeout=_BUSY_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _missing_folders(address: str) -> list[Path]:
    """Folders, innermost first, that the address names when read without unquoting, and that are not there."""
    folder = Path(address.removeprefix("sqlite:///")).parent
    return [each for each in (folder, *folder.parents) if not each.exists()]
