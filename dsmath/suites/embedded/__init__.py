"""Embedded problems: a seeded generator of K-12 word problems in English and Chinese.

`template` says what a kind and its wording are, `kinds` holds the mathematics, `english` and `chinese` the words,
`generate` draws problems from them.
"""
