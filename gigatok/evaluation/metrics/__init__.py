"""Metrics: arrays in, numbers out. No files, no networks, no records."""
