"""The report: README, page and everything beside them."""
