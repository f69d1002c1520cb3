"""Solutions as `dsmath annotate` writes them, by hand, and what is to become of them, as in samples.py."""

LINE = {
    **{"question": "A farm has 4 rows of 23 trees. How many trees are there?", "lang": "en", "answer": "92"},
    **{"turns": ["4 * 23 is \\boxed{92}."], "mode": "cot", "source": "own", "row": "rows.jsonl:7"},
    **{"checkpoint": "own (0123456789ab)", "sample": 3, "license": "CC0-1.0", "topic": "products"},
}
ROWS = [
    LINE,
    LINE | {"mode": "pot", "turns": ["```python\nprint(4 * 23)\n```"]},
    LINE | {"mode": "tool", "turns": ["Multiply.\n```python\nprint(4 * 23)\n```", "There are \\boxed{92}."]},
    LINE | {"mode": "tool", "turns": ["Multiply.\n```python\nprint(4 * 32)\n```", "There are \\boxed{92}."]},
]
KEPT = {
    "annotated": {
        "first.jsonl:1-cot": "4 * 23 is \\boxed{92}.",
        "first.jsonl:2-pot": "```python\nprint(4 * 23)\n```",
        "first.jsonl:3-tool": "Multiply.\n```python\nprint(4 * 23)\n```\n```output\n92\n```\nThere are \\boxed{92}.",
    }
}
DROPPED = {"annotated": {"tool": {"the program prints another answer": 1}}}
