"""The parts of ``merge-through-cores``: where to cut, how to merge, in which steps."""
