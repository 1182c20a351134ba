"""Graphs in torch: an executor of unit graphs, and what retrains units against a teacher.

Only :mod:`neutrams.training.segments` and the settings load without torch; everything else
imports it, and is itself imported when it is first needed.
"""
