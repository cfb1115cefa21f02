"""Assignment of users to variants of running experiments, and the configuration that follows from it."""
