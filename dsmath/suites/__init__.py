"""Suites: what a benchmark is: files, layouts, download, questions, golds, sizes, citation."""
