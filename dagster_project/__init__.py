"""Dagster's view of the pipeline: assets, checks, schedule and sensor, each a thin call into `pipeline`."""
