"""Ape210K's equations as programs and chains of thought: what they compute is what Fraction computes."""

import itertools
import re
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dsmath import config
from dsmath.answers.compare import same
from dsmath.data.from_equations.equations import Worked, worked
from dsmath.data.source import Unusable
from dsmath.records import Exit
from dsmath.sandbox.client import Sandbox
from dsmath.score.strict.extraction import extract

LIMITS = config.Sandbox(timeout_s=5.0, memory_mb=512, output_kb=16, workers=2, required_level="L1")
QUESTION = "小梅在练习本上算了一道题，结果是多少？"
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
PRECEDENCE = {"+": 1, "-": 1, "*": 2, ":": 2, "/": 2, "**": 3}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(LIMITS) as sandbox:
        yield sandbox


# Trees: a leaf is (text, value), an operation (sign, left, right).


@st.composite
def leaf(draw):
    whole, below = draw(st.integers(0, 300)), draw(st.integers(2, 40))
    above = draw(st.integers(1, below - 1))
    decimal = f"{whole}.{draw(st.integers(1, 99)):02}"
    return draw(
        st.sampled_from(
            [
                (str(whole), Fraction(whole)),
                (decimal, Fraction(decimal)),
                (f"{whole}%", Fraction(whole, 100)),
                (f"{decimal}%", Fraction(decimal) / 100),
                (f"({above}/{below})", Fraction(above, below)),
                (f"{whole + 1}({above}/{below})", whole + 1 + Fraction(above, below)),
            ]
        )
    )


def operation(operands):
    power = st.tuples(st.just("**"), operands, st.integers(2, 3).map(lambda n: (str(n), Fraction(n))))
    return st.tuples(st.sampled_from("+-*/:"), operands, operands) | power


tree = operation(st.recursive(leaf(), operation, max_leaves=7))


def value(node) -> Fraction:
    if len(node) == 2:
        return node[1]
    left, right = value(node[1]), value(node[2])
    match node[0]:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "**":
            return left**right
    assume(right != 0)
    return left / right


def text(node, level: int = 0) -> str:
    """As Ape210K would write it, with brackets where they are needed."""
    if len(node) == 2:
        return node[0]
    own = PRECEDENCE[node[0]]
    inner = f"{text(node[1], own + (node[0] == '**'))}{node[0]}{text(node[2], own + 1)}"
    return f"({inner})" if own < level else inner


def decimal(number: Fraction) -> str | None:
    """A decimal that ends within 15 places, exactly: some have more digits than a float."""
    places = next((p for p in range(1, 16) if (number * 10**p).denominator == 1), None)
    if places is None:
        return None
    digits = str(abs(number * 10**places)).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def written(number: Fraction, form: str) -> str | None:
    """A number as Ape210K writes answers; None where it can't be written so."""
    match form:
        case "decimal":
            return decimal(number)
        case "percent":
            return None if number < 0 or decimal(100 * number) is None else f"{decimal(100 * number)}%"
        case "fraction":
            return None if number < 0 else f"({number.numerator}/{number.denominator})"
        case _:
            above, below = (number % 1).numerator, number.denominator
            return None if number < 1 or below == 1 else f"{number // 1}({above}/{below})"


def read(answer: str) -> Fraction:
    """An answer that a program printed or that is boxed, as a person reads it."""
    if percent := re.fullmatch(r"(.*?)\\?%", answer):
        return read(percent[1]) / 100
    latex = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r" \1/\2", answer)
    sign = -1 if latex.strip().startswith("-") else 1
    return sign * sum(map(Fraction, latex.replace("-", " ").split()))


@settings(max_examples=200, deadline=None)
@given(tree, st.sampled_from(["decimal", "percent", "fraction", "mixed"]))
def test_program_chain_and_fractions_agree_on_any_equation(sandbox, node, form):
    expected = value(node)
    assume(max(expected.numerator.bit_length(), expected.denominator.bit_length()) < 40)
    ans = str(expected) if expected.denominator == 1 else written(expected, form)
    assume(ans is not None)
    solution = worked_or_why(QUESTION, f"x={text(node)}", ans)
    assume(solution not in ("the equation computes nothing", "the equation is too large"))
    assert isinstance(solution, Worked), solution
    ran = sandbox.run(solution.program)
    assert ran.exit is Exit.OK, ran.stderr
    assert read(ran.stdout.strip()) == expected
    assert same(ran.stdout.strip(), solution.answer, QUESTION)
    for response in (solution.cot, solution.plan + solution.conclusion):
        assert extract("ape210k", QUESTION, response) == solution.answer
    assert read(solution.answer) == expected
    assert only_true_equations(solution.cot)
    assert same(solution.plan.split("$")[1], solution.answer), "the formula has the answer's value"
    assert not invented(solution.program, text(node))


def worked_or_why(question: str, equation: str, ans: str) -> Worked | str:
    try:
        return worked(question, equation, ans)
    except Unusable as e:
        return str(e)


def only_true_equations(chain: str) -> bool:
    """Whether the sides of each equation are the same to our comparison."""
    equations = [equation.split("=") for equation in re.findall(r"\$([^$]*=[^$]*)\$", chain)]
    assert equations
    return all(same(a, b) for sides in equations for a, b in itertools.pairwise(sides))


def invented(program: str, equation: str) -> set[str]:
    """Numbers of a program, comments included, that its equation lacks; a percentage is so many of 100."""
    return set(NUMBER.findall(program)) - set(re.findall(r"\d+(?:\.\d+)?", equation)) - {"0", "1", "100"}


def lines(question: str, equation: str, ans: str) -> list[str]:
    return worked(question, equation, ans).program.splitlines()


def test_a_program_names_its_steps_and_says_what_they_do():
    assert lines("果园里有梨树18行，每行25棵，又种了60棵桃树，一共有多少棵树？", "x=18*25+60", "510") == [
        "# 18行乘25棵",
        "product = 18 * 25",
        "# 再加上60棵",
        "answer = product + 60",
        "print(answer)",
    ]


def test_a_chain_shows_each_step_with_its_result():
    question = "一桶油用去(1/4)，又用去(2/5)，还剩14千克，这桶油重多少千克？"
    assert worked(question, "x=14/(1-(1/4)-(2/5))", "40").cot.splitlines() == [
        r"根据题意列式：$14\div(1-\frac{1}{4}-\frac{2}{5})$。",
        r"第1步，对应的分率：$1-\frac{1}{4}=\frac{4}{4}-\frac{1}{4}=\frac{3}{4}$。",
        r"第2步，对应的分率：$\frac{3}{4}-\frac{2}{5}=\frac{15}{20}-\frac{8}{20}=\frac{7}{20}$。",
        r"第3步，单位“1”的量：$14\div\frac{7}{20}=14\times\frac{20}{7}=40$（千克）。",
        r"答案是\boxed{40}。",
    ]


@pytest.mark.parametrize(
    ("equation", "ans", "printed", "boxed"),
    [
        ("x=7*6", "42", "42", "42"),
        ("x=3/8+1/8", "0.5", "0.5", "0.5"),
        ("x=3/8+1/8", "(1/2)", "1/2", r"\frac{1}{2}"),
        ("x=3/8+1/8", "50%", "50%", r"50\%"),
        ("x=1/8", "12.5%", "12.5%", r"12.5\%"),
        ("x=17/4", "4(1/4)", "4 1/4", r"4\frac{1}{4}"),
        ("x=12.25*2", "24.50", "24.50", "24.50"),
        ("x=18/24", "3:4", "3:4", "3:4"),
        ("x=2-9", "-7", "-7", "-7"),
        ("(25*36)/100", "9", "9", "9"),
        ("180=x", None, None, None),
        ("8.4÷（3＋4）=x", "1.2", "1.2", "1.2"),
        ("x=2^5×［1－７５％］", "8", "8", "8"),
        ("x=+6*-2", "-12", "-12", "-12"),
        ("x=2**(0-1)", "0.5", "0.5", "0.5"),
        ("x=3**(0-1)", "(1/3)", "1/3", r"\frac{1}{3}"),
        ("x=2**(6/3)/3", "1(1/3)", "1 1/3", r"1\frac{1}{3}"),
        ("x=2(9/3)+1", "7", "7", "7"),
        ("x=33(1/3)%*6", "2", "2", "2"),
        ("x=3(4+1)", "15", "15", "15"),
        ("x=6:3*4", "8", "8", "8"),
    ],
)
def test_answers_have_the_form_of_the_row(sandbox, equation, ans, printed, boxed):
    if ans is None:
        with pytest.raises(Unusable, match="computes nothing"):
            worked(QUESTION, equation, "180")
        return
    solution = worked(QUESTION, equation, ans)
    assert sandbox.run(solution.program).stdout == f"{printed}\n"
    assert solution.answer == boxed
    assert same(printed, boxed)


@pytest.mark.parametrize(
    ("equation", "ans", "step"),
    [
        ("x=(1/4)+(1/6)", "(5/12)", r"$\frac{1}{4}+\frac{1}{6}=\frac{3}{12}+\frac{2}{12}=\frac{5}{12}$"),
        ("x=(1/7)+(3/7)", "(4/7)", r"$\frac{1}{7}+\frac{3}{7}=\frac{4}{7}$"),
        ("x=1(1/2)*(4/9)", "(2/3)", r"$1\frac{1}{2}\times\frac{4}{9}=\frac{3}{2}\times\frac{4}{9}=\frac{2}{3}$"),
        ("x=0.5+(1/3)", "(5/6)", r"$0.5+\frac{1}{3}=\frac{3}{6}+\frac{2}{6}=\frac{5}{6}$"),
        ("x=6-(2-9)", "13", "$6-(-7)=13$"),
        ("x=(1-3)**2", "4", "$(-2)^{2}=4$"),
        ("x=1-35%", "65%", r"$1-35\%=65\%$"),
        ("x=2/3/4", "(1/6)", r"$\frac{2}{3}\div4=\frac{1}{6}$"),
    ],
)
def test_a_step_is_shown_as_a_person_writes_it(equation, ans, step):
    assert step in worked(QUESTION, equation, ans).cot


@pytest.mark.parametrize(
    ("equation", "ans"), [("x=1.23456789*9.87654321", "12.1932631112635269"), ("x=0.01*0.001", "0.00001")]
)
def test_a_decimal_that_no_float_shows_is_printed_as_a_fraction(sandbox, equation, ans):
    solution = worked(QUESTION, equation, ans)
    assert Fraction(sandbox.run(solution.program).stdout) == read(solution.answer) == Fraction(ans)


def test_a_common_expression_is_computed_once():
    solution = worked("周长28厘米的正方形，面积是多少？", "x=(28/4)*(28/4)", "49")
    assert solution.program.count("Fraction(28, 4)") == 1
    assert solution.cot.count(r"28\div4=") == 1


def test_what_computes_nothing_is_left_out_of_steps():
    assert lines("20粒种子有19粒发芽，发芽率是多少？", "x=(19/20)*100%", "95%") == [
        "from fractions import Fraction",
        "",
        "# 19粒除以20粒",
        "answer = Fraction(19, 20)",
        'print(f"{answer * 100}%")',
    ]
    assert "1" not in "".join(lines("一件衣服先降价20%，再降价30%。", "x=1*(1-20%)*(1-30%)/1", "56%")[-2:-1])


def test_brackets_hold_a_fraction_unless_the_question_gives_its_parts_alone():
    division = worked("12枚硬币中有9枚是一元的，占百分之几？", "x=(9/12)", "75%")
    assert r"9枚除以12枚：$9\div12=0.75=75\%$" in division.cot
    fraction = worked("一堆沙子的(9/12)是27吨，这堆沙子重多少吨？", "x=27/(9/12)", "36")
    assert r"$27\div\frac{9}{12}=27\times\frac{4}{3}=36$（吨）" in fraction.cot


def test_rows_that_have_r_to_the_r_for_r_squared_are_read_as_they_are_meant():
    solution = worked("圆的周长是12.56米，面积是多少平方米？", "x=3.14*(12.56/3.14/2)**(12.56/3.14/2)", "12.56")
    assert "power = quotient_2 ** 2" in solution.program


def test_measure_words_stand_only_where_they_fit():
    assert "3米" not in worked("绳子长3米，剪成2段，又接上5个结。", "x=3+5", "8").program  # metres and knots
    assert "9" in worked("正方形边长9厘米。", "x=9**2", "81").program
    assert "2厘米" not in worked("高缩短2厘米，边长9厘米。", "x=9**2", "81").program


@pytest.mark.parametrize(
    ("question", "equation", "ans"),
    [
        ("把(48/60)化成最简分数是多少？", "x=(48/60)", "(4/5)"),
        ("35%化成小数是多少？", "x=35%", "0.35"),
        ("0.375化成分数是多少？", "x=0.375", "(3/8)"),
    ],
)
def test_a_number_of_the_question_is_converted(sandbox, question, equation, ans):
    solution = worked(question, equation, ans)
    assert same(sandbox.run(solution.program).stdout.strip(), solution.answer)
    assert only_true_equations(solution.cot)


@pytest.mark.parametrize(
    ("equation", "ans", "reason"),
    [
        ("x=12", "12", "computes nothing"),
        ("x=(3/7)", "(3/7)", "computes nothing"),
        ("x=12*1+0", "12", "computes nothing"),
        ("x=(3/8)", "0.375", "computes nothing"),  # and the question doesn't give it
        ("x=5*6", "31", "another value"),
        ("x=10/3", "3.33", "another value"),
        ("x=4/(2-2)", "2", "divides by zero"),
        ("x=(4/0)", "2", "divides by zero"),
        ("x=0**(0-1)", "2", "no arithmetic"),
        ("x=2**0.5", "2", "no arithmetic"),
        ("3*x=12", "4", "not solved"),
        ("x=12=3*4", "12", "not solved"),
        ("x=y=3", "3", "not solved"),
        ("x=2*y", "3", "no arithmetic"),
        ("", "3", "no arithmetic"),
        ("x=", "3", "no arithmetic"),
        ("x=3 4", "34", "no arithmetic"),
        ("x=3+", "3", "no arithmetic"),
        ("x=(3+4", "7", "no arithmetic"),
        ("x=3+4)", "7", "no arithmetic"),
        ("x=1.2.3+4", "7", "no arithmetic"),
        ("x=__import__('os')", "7", "no arithmetic"),
        ("x=30+12", "30+12", "a formula"),
        ("x=9/12+0.25", "(9/12)+(3/12)", "a formula"),
        ("x=6/8", "(6/8)", "lowest terms"),
        ("x=6*7", "forty-two", "no number"),
        ("x=6*7", "", "no number"),
    ],
)
def test_a_row_that_gives_no_solution_is_unusable_and_says_why(equation, ans, reason):
    with pytest.raises(Unusable, match=reason):
        worked(QUESTION, equation, ans)


@pytest.mark.parametrize(
    ("equation", "ans"),
    [
        ("x=" + "1+" * 500_000 + "1", "500001"),
        ("x=" + "9" * 1_000_000, "9"),
        ("x=10**10**10", "1"),
        ("x=2**64**64", "1"),
        ("x=((9**60)**60)**60", "1"),
        ("x=" + "(" * 450 + "1+1" + ")" * 450, "2"),
        ("x=" + "-" * 900 + "1", "1"),
        ("x=2" + "**1" * 300, "2"),
        ("x=1" + "%" * 900, "1"),
        ("x=" + "1+" * 400 + "1", "401"),
        ("x=1\0+1", "2"),
        ("\0", "2"),
        ("x=\ud800+1", "2"),
        ("x=1+1", "2" * 1_000_000),
        ("x=1+1", "(" * 90 + "2" + ")" * 90),
        ("x=1+1", "9**9**9"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_hostile_rows_are_unusable(equation, ans):
    with pytest.raises(Unusable):
        worked(QUESTION, equation, ans)


def test_a_hostile_question_changes_no_result():
    for question in ("9" * 1_000_000, "(" * 1_000_000, "3(" * 500_000, "\0" * 1_000_000, "1/(0/0)米(5/0)元"):
        assert worked(question, "x=3+4", "7").answer == "7"


@given(
    st.text(max_size=60), st.text("0123456789x=+-*/:^()%. （）", max_size=40), st.text("0123456789/()%.", max_size=8)
)
def test_any_text_is_worked_or_unusable(question, equation, ans):
    assert worked_or_why(question, equation, ans)
