"""Finished models in MLflow: logged with signature and example, linked to scores and data, registered."""
