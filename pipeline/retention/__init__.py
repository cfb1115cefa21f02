"""Lets go of exported rows that Postgres need not keep."""
