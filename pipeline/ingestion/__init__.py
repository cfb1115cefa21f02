"""Writes events into Postgres and accounts for every one of them."""
