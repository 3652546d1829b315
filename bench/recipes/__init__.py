"""Whole papers as one command: which cells to run, what was printed, and what the paper concludes."""

RECIPES = {"recsys2024": "Tamm & Aljanaki, RecSys 2024: Tables 1 to 4 and what sections 3 to 3.2 conclude from them"}
