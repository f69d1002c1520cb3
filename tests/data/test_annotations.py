"""GSM8K's annotated solutions as programs."""

import pytest

from dsmath.data import annotations


def lines(question: str, solution: str, gold: str) -> list[str]:
    return annotations.program(question, solution, gold).splitlines()


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
    code = annotations.program(
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
    code = annotations.program(
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
    with pytest.raises(annotations.Unusable, match=reason):
        annotations.program("?", solution, "5")


def test_an_answer_that_is_no_number_gives_no_program():
    with pytest.raises(annotations.Unusable, match="the answer is not the result of a step"):
        annotations.program("?", "It is <<2+3=5>>5.\n#### five", "five")
