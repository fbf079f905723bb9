"""The only way in: telemetry is checked here and nowhere else."""
