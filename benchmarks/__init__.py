"""Measurements: ``make bench``, or one of them: ``python -m benchmarks.bench_startup``."""
