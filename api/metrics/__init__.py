"""Metrics endpoints: read published aggregate tables only, never raw events."""
