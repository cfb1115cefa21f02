"""What one process tells about itself: readiness for load balancers, metrics for those who watch."""
