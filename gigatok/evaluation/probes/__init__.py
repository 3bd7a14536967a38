"""Linear probes on features of tokenizers and AR models."""
