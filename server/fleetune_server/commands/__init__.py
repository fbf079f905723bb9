"""Subcommands of `fleetune`, listed in `cli.py`: what adds their arguments, and what runs them."""
