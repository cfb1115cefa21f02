"""Computes the published numbers from the lake, checks them and publishes them."""
