"""The commands of `python -m fleetune_research`."""
