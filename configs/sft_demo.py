"""The demo: a decoder of 1 M parameters trained from scratch on the embedded problems, English and Chinese.

    dsmath demo

Hardware: 2 CPU cores, about 10 minutes. It learns to copy numbers into a program after some 400 steps. Expected
accuracy at the end: 67% to 78% with tools, a few percent by chain of thought, which can't do the arithmetic.
"""

from ml_collections import ConfigDict

from dsmath import recipes


def get_config() -> ConfigDict:
    return recipes.demo()
