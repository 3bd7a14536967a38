"""Models in and out: released checkpoints, and our own folders."""

from gigatok.interop.native import load_ar_dir, load_tokenizer_dir, save_model
from gigatok.interop.official import load_ar, load_tokenizer

__all__ = ["load_ar", "load_ar_dir", "load_tokenizer", "load_tokenizer_dir", "save_model"]
