"""What the app costs, beside its peers: ``python -m benchmarks``."""
