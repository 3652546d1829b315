"""MIR tasks, one family a module: validate, metric, evaluate; each module opens with its conventions."""
