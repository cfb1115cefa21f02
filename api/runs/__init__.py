"""The history of runs: what published the numbers, and from what."""
