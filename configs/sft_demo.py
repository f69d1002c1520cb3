"""The demo: a decoder of 1 M parameters trained from scratch on the embedded problems, English and Chinese.

    dsmath demo

Hardware: 2 CPU cores, under 5 minutes, 1 GB. It learns to copy numbers into a program after some 400 steps. Accuracy
at the end: 81% with tools, 3% by chain of thought, which can't do the arithmetic.
"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    return recipes.demo()
