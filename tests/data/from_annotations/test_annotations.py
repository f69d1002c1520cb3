"""GSM8K's annotated solutions as programs."""

import contextlib
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmath.data.from_annotations import annotations


def lines(question: str, solution: str, gold: str) -> list[str]:
    return annotations.program(question, solution, gold).splitlines()


def printed(code: str) -> float:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})
    return float(out.getvalue())


def numbers(text: str) -> set[float]:
    return {float(n) for n in re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?!\w)", text)}


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
        ("<<2500+2500=5$000>>5000", "2500 + 2500"),
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


@pytest.mark.parametrize(
    "shown",
    [
        "60 - 13 = <<60-13=47>>47",  # as published
        "60 - 13 = <<47=47>>47",  # the annotation holds the result alone
        "60 marbles in the bag – 13 marbles that fell out of it = 47",  # no annotation, units, a dash
        "60 minus 13 equals 47",
        "60 - 13 = 50 - 3 = <<60-13=47>>47",  # on the way to the result
        "(60 - 13 = 47)",
    ],
)
def test_an_equation_is_the_same_step_however_it_is_written(shown):
    code = lines("Ann has 60 marbles and loses 13.", f"That leaves {shown} marbles.\n#### 47", "47")
    assert next(line for line in code if not line.startswith("#")).endswith(" = 60 - 13")
    assert not any("47" in line for line in code)


@pytest.mark.parametrize(
    ("shown", "expression"),
    [
        ("18(.50) = 9", "18 * 0.5"),
        ("3(2) + 3 = 9", "3 * 2 + 3"),
        ("(1/2)(18) = 9", "(1 / 2) * 18"),
        ("6 * 1 1/2 = 9", "6 * (1 + 1 / 2)"),
        ("3 / 1/3 = 9", "3 / (1 / 3)"),
        ("30% * 30% = 9%", "(30 / 100) * (30 / 100) * 100"),
        ("100% - 91% = 9%", "100 - 91"),
        ("18 / 200 = 9%", "18 / 200 * 100"),
        ("9 000 - 8 991 = 9", "9000 - 8991"),
        ("$63 : $7 = 9", "63 / 7"),
        ("63 km/7 hr = 9 km/hr", "63 / 7"),
        ("63//7 = <<63//7=9>>9", "63 // 7"),
        ("x + <<+4+5=9>>9", "4 + 5"),
        ("4 * 2.25 = 10", "4 * 2.25"),  # a slip of the pen: the answer is what the step gives
    ],
)
def test_what_an_equation_means(shown, expression):
    code = annotations.program("?", f"So {shown} sheep.\n#### 9", "9")
    assert f" = {expression}\n" in code
    assert printed(code) == pytest.approx(9)


def test_a_result_that_is_a_fraction_is_a_step_like_any_other():
    code = lines(
        "A wall takes Bo 1/4 of a day a metre, of 3.",
        "Bo paints 3 * 1/4 = 3/4 of a day. A day is 8 hours, so 3/4 * 8 = <<3/4*8=6>>6 hours.\n#### 6",
        "6",
    )
    assert code[-2:] == ["hours = day * 8", "print(hours)"]
    assert "3/4" not in code[0]


EQUATION = [
    "Let n be the number of newts.",
    "There are 3n + 2 frogs.",
    "All in all: n + 3n + 2 = 50",
    "4n + 2 = 50",
    "4n = 50 - 2 = <<50-2=48>>48",
]


@pytest.mark.parametrize("stated", ["n = 12", "n=<<12=12>>12", "12 = n"])
@pytest.mark.parametrize("last", ["So 3(12) + 2 = 38 frogs.", "So 3n + 2 = 38 frogs."])
def test_an_unknown_is_solved_for_from_its_first_equation(stated, last):
    solution = "\n".join([*EQUATION, stated, last, "#### 38"])
    code = annotations.program("There are 50 frogs and newts; 2 more than 3 frogs a newt.", solution, "38")
    assert code.splitlines() == [
        "from sympy import Eq, solve, symbols",
        "# Let n be the number of newts",
        "# There are 3n + 2 frogs",
        "# All in all",
        'n = symbols("n")',
        "n = solve(Eq(n + 3 * n + 2, 50), n)[0]",
        "# So frogs",
        "frogs = 3 * n + 2",
        "print(frogs)",
    ]
    assert printed(code) == 38


def test_a_solution_that_computes_its_unknown_keeps_its_own_arithmetic():
    solution = "Let n be the newts.\nn + 30 = 42\nn = 42 - 30 = <<42-30=12>>12\n#### 12"
    assert lines("Of 42 beasts 30 are frogs.", solution, "12") == ["# n", "n = 42 - 30", "print(n)"]


def test_an_answer_that_was_described_by_an_unknown_is_computed_from_it():
    solution = "\n".join([*EQUATION, "n = 12", "Those are 38 frogs.", "#### 38"])
    code = lines("There are 50 frogs and newts; 2 more than 3 frogs a newt.", solution, "38")
    assert code[-3:] == ["# There are frogs", "frogs = 3 * n + 2", "print(frogs)"]


def test_an_unknown_that_equals_numbers_needs_no_solver():
    code = lines("?", "k = 3 * 24 + 6.\nSo k = <<78=78>>78 in all.\n#### 78", "78")
    assert code == ["k = 3 * 24 + 6", "print(k)"]


@pytest.mark.parametrize(
    ("question", "solution", "gold", "last"),
    [
        ("How many cents?", "A nail is $4 / 80 = $<<4/80=0.05>>0.05.", "5", ["# In cents", "print(nail * 100)"]),
        ("What percent is ripe?", "That is 9 / 12 = <<9/12=.75>>.75.", "75", ["# In percent", "print(step * 100)"]),
        (
            "How many minutes?",
            "He walks 3 / 4 = <<3/4=.75>>.75 hours.\nThose are 45 minutes.",
            "45",
            ["# Those are minutes", "print(hours * 60)"],
        ),
        (
            "How many crates?",
            "It fills 50 / 8 = <<50/8=6.25>>6.25 crates.\nHe must buy 7 crates.",
            "7",
            ["# He must buy crates", "print(math.ceil(crates))"],
        ),
        (
            "How many full crates?",
            "It fills 50 / 8 = <<50/8=6.25>>6.25 crates.",
            "6",
            ["# Rounded down", "print(math.floor(crates))"],
        ),
        (
            "To the nearest metre?",
            "It is 50 / 8 = <<50/8=6.25>>6.25 metres.",
            "6",
            ["# Rounded to the nearest whole number", "print(round(metres))"],
        ),
    ],
)  # fmt: skip
def test_an_answer_may_follow_from_the_last_result(question, solution, gold, last):
    code = annotations.program(question, f"{solution}\n#### {gold}", gold)
    assert code.splitlines()[-2:] == last
    assert printed(code) == float(gold)


@pytest.mark.parametrize(
    "solution",
    [
        "He has <<9=9>>9 sheep.",  # a result that nothing computes
        "He has 3 dogs. s = <<9=9>>9",
        "There are 4 + 2 = <<4+2=6>>6 goats and <<9=9>>9 sheep.",
        "Sheep are <<9=9>>9, lambs <<9=9>>9.",  # the one is no origin for the other
    ],
)
@pytest.mark.parametrize("question", ["How many sheep?", "Of 9 animals, how many are sheep?"])
def test_an_answer_that_no_step_computes_gives_no_program(question, solution):
    with pytest.raises(annotations.Unusable):
        annotations.program(question, f"{solution}\n#### 9", "9")


def test_a_number_of_the_question_may_be_given_a_name_but_is_no_answer():
    code = lines(
        "A rope of 12.5 m is doubled.", "Rope = <<12.5=12.5>>12.5 m\n2 * 12.5 = <<2*12.5=25>>25 m\n#### 25", "25"
    )
    assert code[1:] == ["m = 12.5", "# m", "m_2 = 2 * m", "print(m_2)"]


def test_a_number_by_itself_is_no_step_where_the_question_lacks_it_or_an_unknown_goes_before_it():
    code = lines("Two boxes.", "A box holds <<24=24>>24 figs.\nThat is 24*2 = <<24*2=48>>48.\n#### 48", "48")
    assert code == ["# That", "step = 24 * 2", "print(step)"]
    code = lines("9 more", "Bo has x + <<+9=9>>9.\nAl has 9 * 3 = <<9*3=27>>27 nuts.\n#### 27", "27")
    assert code == ["# Al has nuts", "nuts = 9 * 3", "print(nuts)"]


def test_a_comment_holds_no_answer_that_is_yet_to_be_rounded():
    solution = "He fills 50 / 8 = <<50/8=6.25>>6.25 crates, rounded up to 7.\n#### 7"
    assert "7" not in "".join(lines("How many crates fill 7 shelves?", solution, "7"))


def test_a_comment_drops_a_result_even_if_it_is_a_common_number_or_a_word():
    code = lines(
        "A hen lays 5 eggs a day.",
        "They lay 60 eggs because 5 * 12 = <<5*12=60>>60\nThose fill ten racks: 60 / 6 = <<60/6=10>>10\n#### 10",
        "10",
    )
    assert code[0] == "# They lay eggs"
    assert code[2] == "# Those fill racks"


def test_a_comment_keeps_a_number_of_the_question_that_its_step_takes_as_it_is():
    code = lines("Share 4 pies among 2.", "The 2 of them get 4 / 2 = <<4/2=2>>2 pies.\n#### 2", "2")
    assert code[0] == "# The 2 of them get pies"


NOUNS = ["acorns", "bolts", "candles", "drums", "eels", "fans", "gates"]
# How a step is written: with an annotation, without one, in words, by result alone.
FORMS = [
    "They {verb} {a} {op} {b} = <<{a}{op}{b}={c}>>{c} {noun}.",
    "They {verb} {a} {noun} {op} {b} {noun} = {c} {noun}.",
    "They {verb} {c} {noun} because {a} {word} {b} equals <<{a}{op}{b}={c}>>{c}.",
    "There are {c} {noun}: {a} {op} {b} = <<{c}={c}>>{c}",
    "Of all, {a}{op}{b}=<<{a}{op}{b}={c}>>{c} {noun} {verb} ({c}).",
]
OPERATIONS = {
    "+": ("plus", lambda a, b: a + b),
    "-": ("minus", lambda a, b: a - b),
    "*": ("times", lambda a, b: a * b),
}


@st.composite
def solutions(draw) -> tuple[str, str, int]:
    """Question, solution and answer: each step goes on from the last result with a number of the question."""
    count = draw(st.integers(1, 6))
    given_ = draw(st.lists(st.integers(2, 99), min_size=count + 1, max_size=count + 1))
    value, written = given_[0], []
    for number, noun in zip(given_[1:], NOUNS, strict=False):
        op = draw(st.sampled_from(sorted(OPERATIONS)))
        word, function = OPERATIONS[op]
        c = function(value, number)
        if not 0 < c < 10**6:
            op, word, c = "+", "plus", value + number
        form = draw(st.sampled_from(FORMS))
        written.append(form.format(a=value, b=number, c=c, op=op, word=word, noun=noun, verb="keep"))
        value = c
    return f"They have {', '.join(map(str, given_))} things.", "\n".join([*written, f"#### {value}"]), value


def early(question: str, code: str) -> list[tuple[str, float]]:
    """Lines with results that are computed there or later, and that the question doesn't give."""
    scope: dict[str, float] = {}
    values: list[float | None] = []
    for line in code.splitlines():
        name = "" if line.startswith(("#", "print", "from")) else line.split(" = ")[0]
        if name:
            exec(line if "sympy" in scope else f"from sympy import *\n{line}", scope)
        values.append(float(scope[name]) if name and str(scope[name]) != name else None)
    free = numbers(question) | {1, 2, 7, 10, 12, 24, 30, 52, 60, 100, 365, 1000}
    found = []
    for i, line in enumerate(code.splitlines()):
        own = values[i] if not line.startswith("#") else next((v for v in values[i:] if v is not None), None)
        held = numbers(line) & ({v for v in values[i:] if v is not None} - {v for v in values[:i] if v is not None})
        found += [(line, n) for n in held if n not in free or (n == own and n not in numbers(question))]
    return found


@settings(max_examples=300, deadline=None)
@given(solutions())
def test_a_program_prints_the_answer_and_holds_no_result_before_it_is_computed(problem):
    question, solution, gold = problem
    code = annotations.program(question, solution, str(gold))
    assert printed(code) == gold
    assert early(question, code) == []


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 9), st.integers(101, 999), st.integers(1001, 9999), st.sampled_from("nxyAW"))
def test_an_unknowns_program_prints_its_value_and_never_holds_it(factor, more, value, letter):
    total = (1 + factor) * value + more
    question = f"Eve and Bob have {total}, Bob {more} more than {factor} times what Eve has. What has Eve?"
    solution = (
        f"Let {letter} be what Eve has.\nBob has {factor}{letter} + {more}.\n"
        f"{letter} + {factor}{letter} + {more} = {total}\n{1 + factor}{letter} = {total - more}\n"
        f"{letter} = <<{value}={value}>>{value}\n#### {value}"
    )
    code = annotations.program(question, solution, str(value))
    assert printed(code) == value
    assert not {value, total - more} & numbers(code)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789+-*/=<>().,%$x \n#½÷×:abctimesequal", max_size=120), st.integers(0, 20))
def test_any_text_gives_a_program_or_a_reason(text, gold):
    with contextlib.suppress(annotations.Unusable):
        compile(annotations.program(text, f"{text}\n#### {gold}", str(gold)), "program", "exec")


@pytest.mark.parametrize("piece", ["7", "is a ", ". ", " ", "= ", "(", "<<", "1 1/2 ", "1+1=2\n", "n = ", "5 times "])
def test_a_long_solution_is_read_in_one_go(piece):
    """Whatever is quadratic in the length takes hours here."""
    room = annotations.MOST_CHARACTERS - 100
    solution = f"He has 2 + 3 = <<2+3=5>>5 cats. {piece * (room // len(piece))}!\n#### 5"
    with pytest.raises(annotations.Unusable) if piece == "1+1=2\n" else contextlib.nullcontext():
        assert "cats = 2 + 3" in annotations.program("?", solution, "5")


def test_a_solution_of_a_megabyte_is_refused():
    with pytest.raises(annotations.Unusable, match="too long"):
        annotations.program("?", f"He has 2 + 3 = <<2+3=5>>5 cats.{' ' * 10**6}\n#### 5", "5")
