"""Data sets that lie in a folder of the user's: one module each, found through their entry points."""
