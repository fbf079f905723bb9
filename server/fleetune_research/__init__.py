"""Evaluation, simulation, privacy audit and lab report: run from a checkout, not part of the wheel."""
