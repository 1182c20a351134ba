"""Bits of every layer, as a user gives them or chosen from calibration data."""
