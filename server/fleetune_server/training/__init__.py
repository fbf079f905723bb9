"""From sums to a gated model; pure functions, run in a process of their own."""
