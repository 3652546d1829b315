"""Recipes: reproduce a paper with one command, compare with its published numbers, and test its claims."""

RECIPES = {"recsys2024": "Tamm & Aljanaki, RecSys 2024: Tables 1 to 4 and its claims of sections 2.2 to 3.2.1"}
