"""Data sets that are read from a folder of the user; one module each, found through entry points."""
