"""Recipes: how tokenizers and generators are trained, resumed and stored.

Nothing is imported here: a stage loads, and so depends on, only what it names.
"""
