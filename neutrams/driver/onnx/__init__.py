"""Unit graphs as standard ONNX, spelled in integers."""

from neutrams.driver.onnx.model import Exported, to_onnx

__all__ = ["Exported", "to_onnx"]
