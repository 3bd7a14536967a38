"""MLflow's side of tracking: only the feeder's process and ``gigatok-bench track`` import what is here."""
