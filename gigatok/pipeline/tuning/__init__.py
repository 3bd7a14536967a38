"""Studies over settings with Optuna: many short trainings, the trade-off between their two scores."""
