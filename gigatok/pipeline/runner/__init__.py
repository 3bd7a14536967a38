"""Runs the pipeline's DVC stages several at a time.

DVC alone runs one stage after the other. Here every stage is still run, recorded and cached by DVC
(``dvc repro --single-item``); this package only decides which stages may run now, shows their progress and
stops them together.
"""

from gigatok.pipeline.runner.graph import Graph, Stage, read_graph
from gigatok.pipeline.runner.loop import Interrupted, Outcome, run_graph

__all__ = ["Graph", "Interrupted", "Outcome", "Stage", "read_graph", "run_graph"]
