"""The retail protocol: visits of web shops through a durable queue, and their statistics."""
