"""Published tables as recipes: the published number, ours, and how far they are apart."""

from neutrams.reproduce.all import RECIPES, recipes_named, write_page
from neutrams.reproduce.recipe import Absent, Recipe, Result, Row, run
from neutrams.reproduce.words import as_json, page, section, tables

__all__ = [
    "RECIPES",
    "Absent",
    "Recipe",
    "Result",
    "Row",
    "as_json",
    "page",
    "recipes_named",
    "run",
    "section",
    "tables",
    "write_page",
]
