"""Keeps the published tables equal to a full recompute, at the cost of what is new."""
