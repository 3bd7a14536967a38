"""GigaTok Bench: the experiments of arXiv 2504.08736 as one reproducible pipeline."""

__version__ = "0.1.0"
