"""Runs at the cycle grain: alone, in rounds, beside others; traced where asked for."""
