"""What zc.async costs: `python -m benchmarks --help`."""
