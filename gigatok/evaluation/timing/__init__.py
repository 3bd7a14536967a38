"""Times of decoding and sampling (table 4 of the paper)."""
