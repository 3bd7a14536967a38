"""The paper's claims, checked."""
