"""What runs say: scores by name, their pedigree, and what may be compared."""
