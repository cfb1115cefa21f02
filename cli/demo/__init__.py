"""The demo: a simulated month of a mobile app's life, carried through the whole system."""
