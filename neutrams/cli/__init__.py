"""The command line: ``neutrams compile``, ``simulate`` and the rest."""

from neutrams.cli.app import run

__all__ = ["run"]
