"""`python -m cli`: what the `tidemark` script runs."""

from cli.app import main

main()
