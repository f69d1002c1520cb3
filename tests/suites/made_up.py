"""Benchmarks of made-up rows, in the layouts of the published ones."""

import json

from dsmath.suites import catalogue

ROWS = {
    "gsm8k": {"question": "How many is 3 x 400?", "answer": "It is 3*400=<<3*400=1200>>1200.\n#### 1,200"},
    "math": {
        "problem": "Find $x$.",
        "level": "Level 2",
        "type": "Algebra",
        "solution": "It is $\\boxed{7}$.",
        "idx": 4,
    },
    "mgsm_zh": {"messages": [{"role": "user", "content": "三乘四百是多少？"}], "answer": "1,200"},
    "cmath": {"grade": 3, "question": "三乘四是多少？", "golden": "12", "reasoning_step": 1, "num_digits": 1},
    "math500": {
        "problem": "Find $y$.",
        "solution": "So $y=\\boxed{8}$.",
        "answer": "8",
        "subject": "Precalculus",
        "level": 4,
        "unique_id": "test/precalculus/1.json",
    },
    "svamp": {
        "ID": "chal-7",
        "Body": "Ada has 300 pins",
        "Question": "How many pins are in 4 such boxes? ",
        "Answer": 1200.0,
        "Equation": "( 300.0 * 4.0 )",
        "Type": "Multiplication",
    },
    "asdiv": {
        "body": "Ada has 300 pins in each of 4 boxes.",
        "question": "How many has she?",
        "solution_type": "Multiplication",
        "answer": "1,200 (pins)",
        "formula": "300*4=1200",
        "idx": 3,
    },
    "mawps": {"input": "Ada has 300 pins . She buys 4 . How many has she ? ", "target": 304.0},
}


def rows(suite, n=None):
    """As many rows as were published, with questions of their own."""
    n = catalogue.find(suite).size if n is None else n
    key = {"math": "problem", "math500": "problem", "svamp": "Question", "mawps": "input"}.get(suite, "question")
    for i in range(n):
        row = dict(ROWS[suite])
        if suite == "svamp":
            row["ID"] = f"chal-{i + 1}"
        if suite == "mgsm_zh":
            row["messages"] = [{"role": "user", "content": f"{i}: {row['messages'][0]['content']}"}]
        else:
            row[key] = f"{i}: {row[key]}"
        yield row


def lines(found):
    return "".join(row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) + "\n" for row in found)


def write(folder, suite, found, name="test.jsonl"):
    path = folder / suite / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(found if isinstance(found, str) else lines(found))
    return path
