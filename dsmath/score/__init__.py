"""Scores: answer extraction, mathematical equality, graders, suites, statistics, the scoring of journals.

Needs no device and imports no jax. SymPy is imported where it is first needed, in the worker processes.
"""
