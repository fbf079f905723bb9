"""Simulated browsers: the real client code without a browser."""
