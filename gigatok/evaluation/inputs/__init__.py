"""What is scored, and what it is compared with."""
