"""Moves committed events from Postgres to the lake, each exactly once."""
