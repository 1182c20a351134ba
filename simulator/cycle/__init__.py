"""The cycle grain: a program clock by clock, with all that its parts wait for."""
