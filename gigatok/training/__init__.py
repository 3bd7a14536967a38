"""Recipes: how tokenizers and generators are trained, resumed and stored."""

from gigatok.training.train_generator import train_generator
from gigatok.training.train_tokenizer import train_tokenizer

__all__ = ["train_generator", "train_tokenizer"]
