"""What is computed once and kept under the hash of what it was made from."""
