"""Handlers of the ONNX operators, one module a family; ``registry.load_handlers`` imports all."""
