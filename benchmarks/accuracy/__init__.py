"""Accuracy of real networks on narrower and narrower chips: ``python -m benchmarks.accuracy``."""
