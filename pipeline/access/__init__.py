"""Tenants and their API keys: made, listed, rotated and revoked."""
