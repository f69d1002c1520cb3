r"""Answers: mathematics read and compared, as a careful mathematician would, without a model of the world.

    question: what a question asks for, what an answer may mean
    characters: full-width digits, Chinese punctuation, spacing commands, thousands separators -> plain LaTeX
    tokens, atoms, parser: LaTeX -> nodes
    exact, numeric: values of nodes: fractions first, then numbers of 50 digits at random points
    labels, sets, compare: are two answers the same?

Nothing here evaluates text: the parser knows a fixed vocabulary, every node is bounded in depth and every number in
size, so that `9^{9^{9^9}}` is a value that is too large and `__import__('os')` is text. SymPy is not needed.
docs/grading.md states the rules.
"""
