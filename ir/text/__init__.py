"""The text form: one grammar, one parser, one printer; ``parse(print(m)) == m``."""

from neutrams.ir.text.parser import parse, parse_graph
from neutrams.ir.text.printer import print_graph, print_module

__all__ = ["parse", "parse_graph", "print_graph", "print_module"]
