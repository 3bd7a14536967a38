"""What a study of settings leaves for readers: its figures and its page."""
