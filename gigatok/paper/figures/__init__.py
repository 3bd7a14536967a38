"""The paper's figures, and the scaling plots."""
