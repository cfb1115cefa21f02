"""Moves an existing deployment's history in from files."""
