"""What every stage may use: logs, metrics, files."""
