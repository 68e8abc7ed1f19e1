"""The parts of `benchmarks/soak.py`: load, changes, samples, verdict and chart."""
