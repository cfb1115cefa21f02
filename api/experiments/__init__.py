"""The Experiments API of the campaign protocol: HTTP in front of `pipeline.experiments`."""
