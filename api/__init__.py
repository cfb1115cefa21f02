"""The HTTP service: ingestion, assignment, metrics."""
