"""The subcommands, one a file, named like them."""
