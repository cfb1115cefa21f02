"""The command line: starts and stops processes, and runs every pipeline stage by hand."""
