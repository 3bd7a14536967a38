"""The paper's tables, and the scaling table."""
