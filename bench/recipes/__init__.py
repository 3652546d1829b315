"""Recipes: reproduce a paper with one command, compare with its published numbers, and test its claims."""

RECIPES = {"recsys2024": "Tamm & Aljanaki, RecSys 2024: Tables 1 to 4 and what sections 3 to 3.2 conclude from them"}
