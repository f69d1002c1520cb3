"""GSM8K's annotated solutions as programs."""

import collections
import json

import pytest

from dsmath import config
from dsmath.data import gsm8k
from dsmath.error import UserError
from dsmath.records import Source

LIMITS = config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=16, workers=2, required_level="L1")


def lines(question: str, solution: str, gold: str) -> list[str]:
    return gsm8k.program(question, solution, gold).splitlines()


def test_a_later_step_uses_the_variable_of_an_earlier_result():
    assert lines(
        "A baker makes 14 trays of 36 rolls and sells 299. How many are left?",
        "The baker makes 14 * 36 = <<14*36=504>>504 rolls.\nThere are 504 - 299 = <<504-299=205>>205 left.\n#### 205",
        "205",
    ) == [
        "# The baker makes rolls",
        "rolls = 14 * 36",
        "# There are left",
        "left = rolls - 299",
        "print(left)",
    ]


def test_comments_hold_no_result_that_the_program_has_yet_to_compute():
    code = gsm8k.program(
        "A coach has 21 seats and 17 coaches come, 5 seats each stay empty.",
        "There are 357 seats because 21 x 17 = <<21*17=357>>357\n"
        "Of the 357 seats 5 x 17 = <<5*17=85>>85 stay empty.\n"
        "So 357 seats - 85 seats = <<357-85=272>>272 people came.\n#### 272",
        "272",
    )
    assert not {"357", "85", "272"} & set(code.replace("*", " ").split())


def test_a_number_of_the_question_stays_a_number_once_the_equal_result_was_used():
    code = lines(
        "Tom has 40 coins.",
        "He finds 8 * 5 = <<8*5=40>>40 stones.\nThat is 40 * 3 = <<40*3=120>>120 marks.\n"
        "He adds his 40 coins: 120 + 40 = <<120+40=160>>160 things.\n#### 160",
        "160",
    )
    assert "marks = stones * 3" in code
    assert "things = marks + 40" in code


@pytest.mark.parametrize(
    ("step", "expression"),
    [
        ("<<1,250*4=5,000>>5,000", "1250 * 4"),
        ("<<.5*10000=5000>>5000", "0.5 * 10000"),
        ("<<20%*25000=5000>>5000", "(20 / 100) * 25000"),
        ("<<50(60+40)=5000>>5000", "50 * (60 + 40)"),
        ("<<$2500x2=5000>>5000", "2500 * 2"),
        ("<<-5+5005=5000>>5000", "- 5 + 5005"),
    ],
)
def test_expressions_become_python(step, expression):
    code = lines("?", f"It is {step} metres.\n#### 5000", "5000")
    assert code == ["# It is metres", f"metres = {expression}", "print(metres)"]
    assert eval(expression) == 5000


def test_an_equation_without_annotation_is_a_step_if_it_is_true():
    solution = "He has 6 cats + 7 cats = 13 cats.\nThey eat 13*9=<<13*9=117>>117 fish.\n#### 117"
    assert "fish = cats * 9" in lines("?", solution, "117")
    assert lines("?", "Since 6 + 7 = 15, they eat 13*9=<<13*9=117>>117 fish.\n#### 117", "117")[1:] == [
        "fish = 13 * 9",
        "print(fish)",
    ]


def test_variables_are_python_names_and_no_two_steps_share_one():
    code = gsm8k.program(
        "?",
        "It is 2*9=<<2*9=18>>18 for print.\nThen 18*3=<<18*3=54>>54 print.\nThen 54+9=<<54+9=63>>63 print.\n#### 63",
        "63",
    )
    compile(code, "program", "exec")
    names = [line.split(" = ")[0] for line in code.splitlines() if " = " in line]
    assert len(set(names)) == 3
    assert "print" not in names


@pytest.mark.parametrize(
    ("solution", "reason"),
    [
        ("It is five.\n#### 5", "no annotation"),
        ("It is <<2x+1=5>>5.\n#### 5", "an annotation is no expression"),
        ("It is <<2+=5>>5.\n#### 5", "an annotation is no expression"),
        ("It is <<2+1=3>>3.\n#### 5", "the answer is not the result of a step"),
    ],
)
def test_a_solution_that_gives_no_program_says_why(solution, reason):
    with pytest.raises(gsm8k.Unusable, match=reason):
        gsm8k.program("?", solution, "5")


def test_an_answer_that_is_no_number_gives_no_program():
    with pytest.raises(gsm8k.Unusable, match="the answer is not the result of a step"):
        gsm8k.program("?", "It is <<2+3=5>>5.\n#### five", "five")


def test_examples_are_kept_if_the_program_prints_the_answer_and_drops_are_counted(tmp_path):
    path = tmp_path / "train.jsonl"
    right = {"question": "How much is 12 x 34 - 8?", "answer": "12*34=<<12*34=408>>408 in all.\n#### 408"}
    rows = [
        right,
        right | {"answer": "12*34=<<12*34=409>>409 in all.\n#### 409"},  # a mistake in the annotation
        right | {"answer": "It is plain.\n#### 408"},
        right | {"answer": "10/4=<<10/4=2.5>>2.5 each. So 2.5*2=<<2.5*2=5>>5 in all.\n#### 5"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    drops = collections.Counter()
    examples = list(gsm8k.examples(gsm8k.read(path), ("cot", "tool"), LIMITS, drops))
    assert [e.id for e in examples] == [
        *(f"gsm8k-train-{i}-cot" for i in range(4)),
        "gsm8k-train-0-tool",
        "gsm8k-train-3-tool",
    ]
    assert drops == {"the program prints another answer": 1, "no annotation": 1}


def test_solutions_end_in_the_boxed_answer_and_tool_output_is_the_tools(tmp_path):
    row = gsm8k.Row("r", "Share 10 by 4, twice.", "10/4=<<10/4=2.5>>2.5, so 2.5*2=$<<2.5*2=5>>5.\n#### 5", "5")
    cot, tool = gsm8k.examples([row], ("cot", "tool"), LIMITS, collections.Counter())
    assert cot.solution[0].text == "10/4=2.5, so 2.5*2=$5.\nThe answer is \\boxed{5}."
    assert [p.source for p in tool.solution] == [Source.MODEL, Source.MODEL, Source.TOOL, Source.MODEL]
    assert tool.solution[2].text == "\n5.0\n```\n"
    assert tool.solution[3].text == "The answer is \\boxed{5}."


def test_a_file_without_rows_is_one_line_that_names_it(tmp_path):
    (tmp_path / "train.jsonl").write_text("\n")
    with pytest.raises(UserError, match=r"no rows in .*train.jsonl.*--data_dir"):
        gsm8k.read(tmp_path / "train.jsonl")


def test_most_published_solutions_give_a_program_that_prints_the_answer(real_data):
    rows = gsm8k.read(real_data / "gsm8k" / "train.jsonl")
    drops = collections.Counter()
    kept = list(gsm8k.examples(rows[:100], ("tool",), LIMITS, drops))
    assert len(kept) + drops.total() == 100
    assert len(kept) >= 95
