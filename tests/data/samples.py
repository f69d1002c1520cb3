r"""Made-up files in the layouts of the published sources, and what is to become of them.

`write` puts the files of all sources into a folder; `KEPT` has for each the examples that stay, by the end of their
ids, with their texts; `DROPPED` the others, by mode and reason; `SKIPPED` the records that are no rows.
"""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data import sampled

MATH = {
    "train/geometry/10.json": {
        "problem": "How many tiles of side $2$ cover a floor of $6$ by $8$?",
        "level": "Level 1",
        "type": "Geometry",
        "solution": "The floor has area $48$, a tile $4$, so it takes $\\boxed{12}$ tiles.",
    },
    "train/algebra/7.json": {
        "problem": "Find both values of $x$ with $x^2=9$.",
        "level": "Level 2",
        "type": "Algebra",
        "solution": "They are $\\boxed{3}$ and $\\boxed{-3}$.",
    },
    "train/algebra/8.json": {
        "problem": "Show that a square is no prime.",
        "level": "Level 3",
        "type": "Algebra",
        "solution": "It has a factor that is neither it nor one.",
    },
    "test/algebra/1.json": {
        "problem": "What is the seventh odd number?",
        "level": "Level 1",
        "type": "Algebra",
        "solution": "It is $\\boxed{13}$.",
    },
}

MATHINSTRUCT = [
    {
        "source": "data/CoT/gsm_rft.json",
        "instruction": "Rosa packs 7 boxes of 12 pears each. How many pears are that?",
        "output": "There are 7 * 12 = 84 pears.\nThe answer is 84",
    },
    {
        "source": "data/CoT/aqua_rat.json",
        "instruction": "What is a fifth of 60?\nAnswer Choices: (A) 10 (B) 12 (C) 15 (D) 20 (E) 30",
        "output": "Let's think about the multi-choice question.\n60 / 5 = 12\nThe answer is B.",
    },
    {
        "source": "data/CoT/MATH_train.json",
        "instruction": "What is half of $\\frac{2}{3}$?",
        "output": "It is $\\boxed{\\frac{1}{3}}$. The answer is $\\frac13$.",
    },
    {
        "source": "data/CoT/MATH_train.json",
        "instruction": "What is twice $\\frac{2}{5}$?",
        "output": "It is $\\boxed{\\frac{4}{5}}$. The answer is 5.",
    },
    {
        "source": "data/CoT/math50k_camel.json",
        "instruction": "How fast does the lake fill?",
        "output": "It takes a while, as the integral shows.",
    },
    {
        "source": "data/PoT/gsm_gpt4.json",
        "instruction": "Rosa packs 9 boxes of 14 pears each. How many pears are that? Let's write a Python program.",
        "output": "boxes = 9\nprint(boxes * 14)",
    },
    {
        "source": "data/PoT/numglue.json",
        "instruction": "A rope of 30 m loses 4 m. How long is it? Please write a program to solve it",
        "output": "length = 30 - 4",
    },
    {
        "source": "data/PoT/mathqa.json",
        "instruction": "What is 7 over nothing? Let's program in Python in the response.",
        "output": "print(7 / 0)",
    },
    {"source": "data/other.json", "instruction": "What is this?", "output": "Nobody knows."},
    "no row",
]

LILA = [
    {
        "Input": "Ten birds sit on a wire and six more come. How many are there?",
        "Output Program": ["a = 10 +", "a = 10\nb = 6\nprint(a + b)", "print(16)"],
        "Output Answer": ["17", "16", "16"],
        "split": "train",
        "dataset": "addsub.json",
    },
    {
        "Input": "Ten birds sit on a wire and four go. How many are there?",
        "Output Program": ["print(10 + 4)"],
        "Output Answer": ["6"],
        "split": "train",
        "dataset": "addsub.json",
    },
    {
        "Input": "Write a function that doubles.",
        "Output Program": ["def f(x):\n    return 2 * x"],
        "Output Answer": ["f"],
        "split": "train",
        "dataset": "mbpp.json",
    },
    {
        "Input": "Say nothing.",
        "Output Program": [],
        "Output Answer": ["0"],
        "split": "train",
        "dataset": "conala.json",
    },
    {"Input": "Who wrote this?", "Output Program": ["print(1)"], "dataset": "addsub.json"},
]

APE210K = [
    {
        "id": "1",
        "segmented_text": "书 架 …",
        "original_text": "书架有6层，每层放25本书，一共能放多少本书？",
        "ans": "150",
        "equation": "x=6*25",
    },
    {
        "id": "2",
        "segmented_text": "花 园 …",
        "original_text": "花园里有40朵花，摘了15朵，还剩多少朵？",
        "ans": "20",
        "equation": "x=40-15",
    },
]

TAL_SCQ5K = [
    {
        "dataset_name": "made_up",
        "queId": "a",
        "problem": "$$12\\times 5$$等于~\\uline{~~~~~~}~． ",
        "answer_option_list": [
            [{"aoVal": "A", "content": "$$50$$ "}],
            [{"aoVal": "B", "content": "$$60$$ "}],
        ],
        "knowledge_point_routes": ["拓展思维->计算模块->整数->整数乘法"],
        "answer_analysis": ["$$12\\times 5=60$$．  故选$$\\text{B}$$． "],
        "answer_value": "B",
    },
    {
        "dataset_name": "made_up",
        "queId": "b",
        "problem": "三个连续整数的和是$$12$$，最大的是（~ ）． ",
        "answer_option_list": [[{"aoVal": "A", "content": "$$4$$ "}], [{"aoVal": "B", "content": "$$5$$ "}]],
        "knowledge_point_routes": ["拓展思维->思想->对应思想"],
        "answer_analysis": ["中间的是$$4$$，所以选$$\\text{A}$$． "],
        "answer_value": "B",
    },
    {
        "dataset_name": "made_up",
        "queId": "c",
        "problem": "哪个图形有四条边？ ",
        "answer_option_list": [{"aoVal": "A", "content": "三角形"}],
        "knowledge_point_routes": [],
        "answer_analysis": ["正方形． "],
        "answer_value": "A",
    },
]

SCHOOL_MATH = [
    {
        "instruction": "题目：小林有3盒铅笔，每盒8支，他一共有多少支铅笔？",
        "input": "",
        "output": "\n每盒8支，3盒就是3×8=24支。\n所以小林一共有24支铅笔。",
    },
    {"instruction": "题目：今天天气怎么样？", "input": "", "output": "天气很好，适合散步。"},
]

NUMINA_TIR = [
    {
        "problem": "What is the sum of the first five squares?",
        "solution": "We add them up.\n```python\nprint(sum(n**2 for n in range(1, 6)))\n```\n```output\n54\n```\n"
        "The sum is $\\boxed{55}$.",
    },
    {
        "problem": "What is the product of $8$ and $9$?",
        "solution": "First the tens:\n\n```python\na = 8 * 10\nprint(a)\n```\n```output\n80\n```\n"
        "Then one 8 less:\n```python\nprint(a - 8)\n```\n```output\n72\n```\nThus it is \\(\\boxed{72}\\).",
    },
    {
        "problem": "What is $6-7$?",
        "solution": "```python\nprint(6 - 7)\n```\n```output\n-1\n```\nIt is $\\boxed{1}$.",
    },
    {
        "problem": "What is $6-8$?",
        "solution": "Let us see.\n```python\nprint(6 - 8)\n```\nIt should be $\\boxed{-2}$.",
    },
    {"problem": "What is $1+1$?", "solution": "It is $\\boxed{2}$."},
]

OPENMATHINSTRUCT1 = [
    {
        "question": "A train has 6 cars with 40 seats each. How many seats has it?",
        "expected_answer": "240",
        "predicted_answer": "240",
        "error_message": "",
        "is_correct": True,
        "generation_type": "masked_reference_solution",
        "dataset": "gsm8k",
        "generated_solution": "Let's use Python.\n<llm-code>\ncars = 6\ncars * 40  # seats\n</llm-code>\n"
        "<llm-code-output>\n240\n</llm-code-output>\nThe train has \\boxed{240} seats.",
    },
    {
        "question": "What is $15-6$?",
        "expected_answer": "9",
        "predicted_answer": "9",
        "error_message": "<not_executed>",
        "is_correct": True,
        "generation_type": "without_reference_solution",
        "dataset": "math",
        "generated_solution": "Taking $6$ from $15$ leaves $\\boxed{9}$.",
    },
    {
        "question": "What is $15-7$?",
        "expected_answer": "8",
        "predicted_answer": "9",
        "error_message": "<not_executed>",
        "is_correct": False,
        "generation_type": "without_reference_solution",
        "dataset": "math",
        "generated_solution": "Taking $7$ from $15$ leaves $\\boxed{9}$.",
    },
    {
        "question": "A shelf has 5 boards with 30 books each. How many books are there?",
        "expected_answer": "150",
        "predicted_answer": "150",
        "error_message": "",
        "is_correct": True,
        "generation_type": "masked_reference_solution",
        "dataset": "gsm8k",
        "generated_solution": "<llm-code>\n5 * 31\n</llm-code>\n<llm-code-output>\n150\n</llm-code-output>\n"
        "There are \\boxed{150} books.",
    },
]

GSM8K = [{"question": "How much is 12 x 34?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}]


def write(data_dir: Path) -> Path:
    """All sources' files, each in its folder."""
    for name, rows in (("gsm8k/train.jsonl", GSM8K), ("ape210k/train.ape.json", APE210K)):
        lines(data_dir / name, rows)
    lines(data_dir / "tal_scq5k/ch_single_choice_constructed_5K/ch_single_choice_train_3K.jsonl", TAL_SCQ5K)
    lines(data_dir / "annotated/first.jsonl", sampled.ROWS)
    lines(data_dir / "school_math/school_math_0.25M.json", SCHOOL_MATH)
    lines(data_dir / "openmathinstruct1/correct_solutions/train.jsonl", OPENMATHINSTRUCT1[:3])
    lines(data_dir / "openmathinstruct1/correct_solutions/validation.jsonl", OPENMATHINSTRUCT1[3:])
    file(data_dir / "mathinstruct/MathInstruct.json", json.dumps(MATHINSTRUCT, indent=2).encode())
    math_tar(data_dir / "math/MATH.tar")
    lila_zip(data_dir / "lila/lila.zip")
    numina_parquet(data_dir / "numina_tir/data/train-00000-of-00001.parquet")
    return data_dir


def file(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def as_lines(rows: list) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def lines(path: Path, rows: list) -> Path:
    return file(path, as_lines(rows))


def math_tar(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {name: json.dumps(row).encode() for name, row in MATH.items()} | {"train/algebra/9.json": b'{"problem'}
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"MATH/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def lila_zip(path: Path, **more: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("lila/multi/ood/train.json", as_lines(LILA))
        for part in ("ood/test", "ood/dev", "iid/train"):
            archive.writestr(f"lila/multi/{part}.json", as_lines([LILA[0] | {"Input": f"Of {part}?"}]))
        for name, content in more.items():
            archive.writestr(name, content)
    return path


def numina_parquet(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        row
        | {
            "messages": [
                {"content": row["problem"], "role": "user"},
                {"content": row["solution"], "role": "assistant"},
            ]
        }
        for row in NUMINA_TIR
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def program(code: str) -> str:
    return f"```python\n{code}\n```"


def tool(*texts: str) -> str:
    """The text of a tool solution: turns, and between them what programs printed."""
    turns, outputs = texts[::2], texts[1::2]
    return "".join(f"{t}\n```output\n{o}\n```\n" for t, o in zip(turns, outputs, strict=False)) + turns[-1]


KEPT = sampled.KEPT | {
    "gsm8k": {
        "train.jsonl:1-cot": "12*34=408 in all.\nThe answer is \\boxed{408}.",
    },
    "math": {
        "MATH/train/geometry/10.json-cot": MATH["train/geometry/10.json"]["solution"],
        "MATH/train/algebra/7.json-cot": MATH["train/algebra/7.json"]["solution"],
    },
    "mathinstruct": {
        "MathInstruct.json:1-cot": "There are 7 * 12 = 84 pears.\nThe answer is \\boxed{84}.",
        "MathInstruct.json:2-cot": "Let's think about the multi-choice question.\n60 / 5 = 12\n"
        "The answer is \\boxed{B}.",
        "MathInstruct.json:3-cot": "It is $\\boxed{\\frac{1}{3}}$.",
        "MathInstruct.json:6-pot": program("boxes = 9\nprint(boxes * 14)"),
    },
    "lila": {"lila/multi/ood/train.json:1-pot": program("a = 10\nb = 6\nprint(a + b)")},
    "tal_scq5k": {
        "ch_single_choice_constructed_5K/ch_single_choice_train_3K.jsonl:1-cot": "$12\\times 5=60$． "
        "故选$\\text{B}$．\n答案是\\boxed{B}。",
    },
    "school_math": {
        "school_math_0.25M.json:1-cot": "每盒8支，3盒就是3×8=24支。\n所以小林一共有24支铅笔。\n答案是\\boxed{24}。",
    },
    "numina_tir": {
        "data/train-00000-of-00001.parquet:1-tool": tool(
            f"We add them up.\n{program('print(sum(n**2 for n in range(1, 6)))')}", "55", "The sum is $\\boxed{55}$."
        ),
        "data/train-00000-of-00001.parquet:2-tool": tool(
            f"First the tens:\n{program('a = 8 * 10' + chr(10) + 'print(a)')}",
            "80",
            f"Then one 8 less:\n{program('print(a - 8)')}",
            "72",
            "Thus it is \\(\\boxed{72}\\).",
        ),
    },
    "openmathinstruct1": {
        "correct_solutions/train.jsonl:1-tool": tool(
            f"Let's use Python.\n{program('cars = 6' + chr(10) + 'print(cars * 40)  # seats')}",
            "240",
            "The train has \\boxed{240} seats.",
        ),
        "correct_solutions/train.jsonl:2-cot": "Taking $6$ from $15$ leaves $\\boxed{9}$.",
    },
}
DROPPED = sampled.DROPPED | {
    "math": {"cot": {"no box": 1}},
    "mathinstruct": {
        "cot": {"the answer is another one": 1, "no answer is said": 1, "neither CoT nor PoT": 1},
        "pot": {"a program prints nothing": 1, "a program ended in error": 1, "neither CoT nor PoT": 1},
    },
    "lila": {
        "pot": {"the program prints another answer": 1, "a program prints nothing": 1, "no program that parses": 1},
    },
    "ape210k": {mode: {"the equation has another value than the answer": 1} for mode in ("cot", "tool", "pot")},
    "tal_scq5k": {
        "cot": {
            "the solution chooses another option": 1,
            "options, analysis or knowledge points of another form": 1,
        }
    },
    "school_math": {"cot": {"no conclusion with one number": 1}},
    "numina_tir": {
        "tool": {"the program prints another answer": 1, "a program without an output": 1, "no program": 1},
    },
    "openmathinstruct1": {"cot": {"not correct": 1}, "tool": {"the program prints another answer": 1}},
}
SKIPPED = {
    "math": {"not JSON": 1},
    "mathinstruct": {"not a JSON object": 1},
    "lila": {"the field 'Output Answer' is missing": 1},
}
