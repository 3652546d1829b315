"""MIR tasks, one module for each family. The docstring of a module states the conventions of its tasks."""
