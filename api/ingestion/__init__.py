"""Ingestion of events: protocols parse bodies into batches, one core commits them."""
