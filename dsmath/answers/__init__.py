"""Answers: mathematics read and compared: bounded, without `eval`, without SymPy."""
