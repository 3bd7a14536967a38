"""The first screen of a report: its sentences, its figure, and what everything cost."""
