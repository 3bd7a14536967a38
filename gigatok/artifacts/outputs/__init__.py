"""Files that stages leave: known by their hashes, restored where damaged, read and written in one place each."""
