"""Times of decoding and sampling, as the stage ``timing`` keeps them for table 4."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gigatok.artifacts import write_json
from gigatok.config import GigatokError, Params
from gigatok.config.reading import read_json_object, reason

DECODERS = {"B": "S-B", "L": "B-L", "XXL": "XL-XXL"}
"""Rows of the paper's table, and a tokenizer with that decoder."""
GENERATORS = ("B", "L", "XXL")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds a batch, the median of several, and the fastest and slowest."""

    median: float
    fastest: float
    slowest: float


@dataclass(frozen=True, kw_only=True)
class TimingTable:
    """Decoding and sampling times, and what they were measured on."""

    scale: str
    decode: dict[str, Timing]
    sample: dict[str, Timing]
    about: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What the stage ``timing`` wrote; ``None``: it has not run.

        Raises:
            GigatokError: the file is damaged.
        """
        if not path.exists():
            return None
        again = "delete it and run 'dvc repro timing'"
        known = read_json_object(path, fix=again)
        try:
            times = {
                part: {name: Timing(**each) for name, each in known[part].items()} for part in ("decode", "sample")
            }
            return cls(scale=known["scale"], about=known["about"], **times)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise GigatokError(f"{path} is no table of times ({reason(error)}): {again}") from None

    def write(self, path: Path) -> None:
        """Write the table as JSON."""
        write_json(path, asdict(self))

    def share(self, decoder: str, generator: str) -> float:
        """Percent of the time of both that decoding takes."""
        decode = self.decode[decoder].median
        return 100 * decode / (decode + self.sample[generator].median)


def scale_name(params: Params) -> str:
    """``TimingTable.scale`` of these settings."""
    return f"profile {params.profile}"


def timing_path(runs: Path) -> Path:
    """Where the stage ``timing`` keeps its times."""
    return runs / "timing" / "table04.json"
