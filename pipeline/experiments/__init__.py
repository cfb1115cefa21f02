"""Experiments as people manage them: what they are, how they may change, and the log of who changed what."""
