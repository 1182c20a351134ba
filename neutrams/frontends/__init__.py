"""Readers of models: ONNX files, torch modules and graphs in text."""
