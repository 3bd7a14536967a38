"""Guidance settings, their search, and the samples they are scored by."""
