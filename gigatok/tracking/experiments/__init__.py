"""DVC's experiments: copies of the project that are gone when their stages have run."""
