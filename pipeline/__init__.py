"""Tidemark's data pipeline: lake, export, rollups, publication.

Knows neither FastAPI nor Dagster; imports in well under half a second, so that notebooks can use it.
"""
