"""The frozen networks' weight files: where each comes from, whether it is here, and how to get it."""
