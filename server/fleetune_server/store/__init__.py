"""Durable state: one protocol, two engines."""
