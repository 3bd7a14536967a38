"""Sheets of scores: each number with how it was measured and what made it."""
