"""Who does which part of an op, and what passes between tiles for it."""
