"""The benchmarks of `make bench`: the gateway beside its peers, in one run, round after round."""
