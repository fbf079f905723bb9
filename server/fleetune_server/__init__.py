"""The Fleetune server: intake, store, learn, deliver."""
