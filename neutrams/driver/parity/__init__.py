"""The parity chain: float network, units, torch, placed cells, simulator and ONNX say the same."""
