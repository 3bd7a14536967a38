"""Files and folders that commands are given."""
