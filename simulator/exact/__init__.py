"""Exact arithmetic of crossbars: products, column sums and converters, bit for bit."""
