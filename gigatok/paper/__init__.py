"""The paper's tables and figures from run folders: rows, plots, statements, the report."""
