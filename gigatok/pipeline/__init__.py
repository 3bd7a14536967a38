"""Brings the stages up to date."""
