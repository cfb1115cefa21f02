"""Dagster's view of the pipeline: thin assets, checks and schedules."""
