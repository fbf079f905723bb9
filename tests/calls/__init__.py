"""Adversarial calls: made from a seed, with expectations of their own, run over every candidate by every way."""
