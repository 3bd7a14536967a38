"""The command line ``gigatok-bench``: one file per command; nothing heavy is imported before it is needed."""
