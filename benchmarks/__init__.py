"""Benchmarks: each one command, each printing the machine it ran on."""
