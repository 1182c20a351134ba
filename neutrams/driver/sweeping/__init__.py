"""Sweeps: a network at every point of a grid."""
