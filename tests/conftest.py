"""Makes ``formula`` (the reference cases) importable from every test."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "reference"))
