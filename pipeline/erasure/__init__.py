"""Removes a person from everything that is kept."""
