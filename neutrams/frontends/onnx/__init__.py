"""Reads ONNX models into ``nn`` graphs."""
