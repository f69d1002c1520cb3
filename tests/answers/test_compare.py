"""What `strict` takes for the same, and what it doesn't: one group of pairs for each of its rules."""

import random
import re

import pytest

from dsmath.score.graders import grade

SAME = {
    "lists whose items have names": [
        ("x_1=3, x_2=5", "3, 5"),
        ("5, 3", "x_{1}=3, x_{2}=5"),
        ("a=1,b=2", "(1,2)"),
        ("(1,2,3)", "a=1, b=2, c=3"),
    ],
    "percent, abbreviated": [("12 pct", "12%"), ("12 pct", "0.12")],
    "left sides that name what is measured": [
        ("AB = 5", "5"),
        ("5", "AB = 5"),
        ("5", "|AB| = 5"),
        (r"\frac{[ABC]}{[DEF]} = 4", "4"),
        ("4", r"\frac{[ABC]}{[DEF]} = 4"),
        ("2", r"\frac{AB}{CD}=2"),
    ],
    "absolute values between bounds": [
        ("1<|x|<2", r"(-2,-1)\cup(1,2)"),
        (r"(-2,-1]\cup[1,2)", r"1\le|x|<2"),
        ("0<|x|<2", r"(-2,0)\cup(0,2)"),
    ],
    "solutions that are said twice": [
        ("(1,2),(1,2),(3,4)", "(1,2),(3,4)"),
        ("(3,4),(1,2)", "(1,2),(3,4),(2/2,2)"),
    ],
    "unions are what they hold": [
        (r"(1,2)\cup[2,3)", "(1,3)"),
        (r"[2,3]\cup[1,2]", "[1,3]"),
        (r"(1,5)\cup[2,3]", "(1,5)"),
        (r"(-\infty,2)\cup(1,\infty)", r"\mathbb{R}"),
        (r"(0,1)\cup\{1\}", "(0,1]"),
        (r"(a,b)\cup(c,d)", r"(c,d)\cup(a,b)"),
    ],
    "inequalities that hold together": [
        (r"x>2 \text{ and } x<5", "(2,5)"),
        (r"x<2 \text{ and } x>5", r"(-\infty,2)\cup(5,\infty)"),
        (r"(1,3]\cap[2,5)", "[2,3]"),
        ("x<2 or x>5", r"(-\infty,2)\cup(5,\infty)"),
    ],
    "determinants and scaled matrices": [
        (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-2"),
        (r"\frac12\begin{pmatrix}2\\4\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ],
    "quantities in two units": [("12元5角", "12.5元"), ("1小时30分钟", "1.5小时"), ("5 km", "5000 m")],
    "numbers as they are typed": [
        ("2x10^3", "2000"),
        ("10⁻³", "0.001"),
        ("x⁴", "x^4"),
        ("5⅓", "16/3"),
        ("2又1/2", "2.5"),
        ("(2+3j)", "2+3i"),
        ("5（个）", "5"),
    ],
    "integers however written": [("5.00", "5"), ("+5", "5"), ("{5}", "5"), ("(5)", "5"), (r"\text{5}", "5")],
    "thousands": [
        ("1,234", "1234"),
        ("1{,}234", "1234"),
        (r"1\,234", "1234"),
        (r"1,\!234", "1234"),
        ("(1,000)", "1000"),
    ],
    "full width and Chinese punctuation": [("５０", "50"), ("（1，2）", "(1,2)"), ("1、2", "1,2"), ("1．5", "1.5")],
    "units may be left out": [
        ("12元", "12"),
        ("12", r"12\text{ cm}"),
        (r"\$12", "12"),
        ("共12个", "12"),
        ("12 square inches", "12"),
    ],
    "units are converted": [
        ("1.2 m", "120 cm"),
        (r"100\text{ cents}", r"\$1"),
        ("2小时", "120分钟"),
        (r"1\text{ m}^2", r"10000\text{ cm}^2"),
    ],
    "nouns don't count": [(r"12\text{ apples}", r"12\text{ pieces of fruit}"), ("3个苹果", "3个")],
    "angles": [
        (r"45^\circ", "45"),
        (r"45^{\circ}", r"\frac{\pi}{4}"),
        (r"69\text{ degrees}", r"69^\circ"),
        (r"\sin 30^\circ", "0.5"),
    ],
    "percent is a hundredth": [("50%", "0.5"), ("0.5", r"50\%"), ("5000%", "50"), (r"\frac{1}{2}\%", "0.005")],
    "percent sign left out": [("50", r"50\%")],
    "products": [(r"2\cdot3", "6"), (r"2\times 3", "6"), ("2*3", "6"), ("2(3)", "6"), (r"6\div2", "3")],
    "mixed numbers": [(r"1\frac{1}{2}", "1.5"), ("1 1/2", "3/2"), (r"-2\frac13", r"-\frac{7}{3}")],
    "scientific notation": [
        (r"1.2\times10^5", "120000"),
        ("1.2e5", "120000"),
        ("2.5e-3", "0.0025"),
        ("10^{-3}", "0.001"),
    ],
    "number words": [
        ("twelve", "12"),
        ("twenty-one", "21"),
        ("二十一", "21"),
        ("一千零五", "1005"),
        ("三分之一", "1/3"),
        ("7", "seven"),
    ],
    "other bases": [
        ("1011_2", "1011_{2}"),
        (r"1011_{\text{two}}", "1011_2"),
        ("152A_{11}", "152A_{11}"),
        ("1101_2", "13"),
    ],
    "fractions and roots": [
        (r"\dfrac12", "1/2"),
        (r"\frac{\sqrt3}{3}", r"\frac{1}{\sqrt{3}}"),
        (r"2+\sqrt3", r"\sqrt{7+4\sqrt3}"),
        ("sqrt(8)", r"2\sqrt2"),
    ],
    "repeating decimals": [(r"0.\overline{3}", r"\frac13"), (r"0.1\overline{6}", "1/6")],
    "rounded decimals": [
        ("0.3333", r"\frac13"),
        ("1.4142", r"\sqrt2"),
        ("3.1416", r"\pi"),
        ("0.1667", "1/6"),
        (r"58.6667\pi", r"\frac{176}{3}\pi"),
    ],
    "noise of floating point": [
        ("59.99999999999999", "60"),
        ("0.30000000000000004", "0.3"),
        ("1.2246467991473532e-16", "0"),
    ],
    "functions": [
        (r"\log_2 8", "3"),
        (r"\ln 4", r"2\ln2"),
        (r"\binom52", "10"),
        ("5!", "120"),
        ("|x-1|", "|1-x|"),
        (r"\lfloor 2.5\rfloor", "2"),
    ],
    "expressions": [
        ("2(x+1)", "2x+2"),
        ("x**2+2*x+1", "(x+1)^2"),
        (r"\tan x", r"\frac{\sin x}{\cos x}"),
        ("7p+4e", "4e+7p"),
        (r"\text{x+2}", "2+x"),
    ],
    "complex numbers": [("3+2i", "2i+3"), (r"\sqrt{-3}", r"\sqrt3 i"), ("i^2", "-1")],
    "both signs": [(r"1\pm\sqrt{19}", r"1+\sqrt{19},1-\sqrt{19}"), (r"x=\pm2", "2,-2")],
    "several answers": [
        ("1,2", "2, 1"),
        (r"2\text{ and }1", "1,2"),
        (r"x=1\text{ or }x=2", "1,2"),
        ("1 和 2", "1,2"),
        ("1;2", "1,2"),
    ],
    "sets": [(r"\{1,2\}", r"\{2,1\}"), (r"\{1,1,2\}", r"\{1,2\}"), ("1,2", r"\{2,1\}"), (r"\emptyset", r"\{\}")],
    "tuples": [
        ("(1, 2)", "(1,2)"),
        (r"(1,\frac12)", "(1,0.5)"),
        ("(x,y)=(1,2)", "(1,2)"),
        ("x=1, y=2", "(1,2)"),
        (r"\langle1,2\rangle", r"\langle 1, 2\rangle"),
    ],
    "matrices": [
        (r"\begin{bmatrix}1\\0.5\end{bmatrix}", r"\begin{pmatrix}1\\\frac12\end{pmatrix}"),
        ("Matrix([[1, 2], [3, 4]])", r"\begin{pmatrix}1&2\\3&4\end{pmatrix}"),
        ("(1,2)", r"\begin{pmatrix}1\\2\end{pmatrix}"),
    ],
    "intervals": [
        (r"(-\infty, 2]", r"(-\infty,2]"),
        (r"x\in[-2,7]", "[-2,7]"),
        (r"-2\le x\le 7", "[-2,7]"),
        ("x>5", r"(5,\infty)"),
        (r"(5,oo)", r"(5,+\infty)"),
    ],
    "unions": [
        (r"(3,\infty)\cup(-\infty,2)", r"(-\infty,2)\cup(3,\infty)"),
        (r"x<2\text{ or }x>3", r"(-\infty,2)\cup(3,\infty)"),
        ("(0,1)U(2,3)", r"(0,1)\cup(2,3)"),
    ],
    "complements": [
        (r"x\ne5", r"(-\infty,5)\cup(5,\infty)"),
        (r"\mathbb{R}\setminus\{5,1\}", r"(-\infty,1)\cup(1,5)\cup(5,\infty)"),
    ],
    "inequalities": [
        ("5<x", "x>5"),
        ("x-3>0", "2x>6"),
        ("f(4)>f(1)>f(2)", "f(2)<f(1)<f(4)"),
        (r"x\geqslant5", r"x\ge5"),
    ],
    "equations": [("y=2x+1", "2x-y+1=0"), ("2y=4x+2", "y=2x+1"), ("f(x)=2x+1", "y=2x+1")],
    "labels": [
        ("x=5", "5"),
        ("5", "x=5"),
        ("a+b=5", "5"),
        ("2+3=5", "5"),
        (r"\angle ABC=30^\circ", "30"),
        ("x = 2+3 = 5", "5"),
        (r"\text{Area}=12", "12"),
    ],
    "approximations": [(r"x\approx3.1416", r"\pi"), (r"\frac13\approx0.33", r"\frac13")],
    "ratios": [("3:2", "6:4"), ("3/2", "3:2"), ("1：2", "1:2")],
    "texts": [
        ("Monday", r"\text{Monday}"),
        (r"\text{(A)}", "A"),
        (r"\textbf{(A)}\ 12", r"\text{(A)}"),
        ("1:03 p.m.", r"\text{1:03 PM}"),
        ("A, C", r"\text{C,A}"),
    ],
}

DIFFERENT = {
    "of lists with names and of what is named": [
        ("x_1=3, x_2=5", "3, 6"),
        ("b=1,a=2", "(1,2)"),
        ("5", "a+b = 5"),
        ("12 pct", "12"),
        ("1<|x|<2", "(1,2)"),
        ("-1<|x|<2", r"(-2,-1)\cup(1,2)"),
        ("(1,2),(1,3)", "(1,2)"),
        ("2,2,3", "2,3"),
    ],
    "intervals that don't meet": [(r"(1,2)\cup(2,3)", "(1,3)")],
    "either is not both": [(r"x>2 \text{ and } x<5", r"(-\infty,\infty)"), ("x>2 or x<5", "(2,5)")],
    "another currency": [(r"5 \$", "5 cents")],
    "numbers that aren't real": [(r"x\ne 2, x\ne 3", r"x\ne\sqrt{-2}, x\ne\sqrt{-1}")],
    "a hundredfold": [("500", "5"), ("0.05", "5"), ("50%", "50"), ("5000%", "5")],
    "near, but integers are exact": [("5.0004", "5"), ("4.9999", "5"), ("1000.5", "1000"), ("99999", "100000")],
    "too small for an absolute tolerance": [
        ("0.0005", "0.001"),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
        ("e^{-100}", "e^{-101}"),
    ],
    "rounded too far": [("0.33", r"\frac13"), ("3.14", r"\pi"), ("8.47", "8.5"), ("1.7", r"\sqrt3")],
    "rounded where nothing is to round": [
        (r"\frac{333}{1000}", r"\frac13"),
        ("262537412640768744", r"e^{\pi\sqrt{163}}"),
    ],
    "spaces between digits": [("1 1/2", "11/2"), ("10 12", "1012"), (r"1\,1/2", "11/2")],
    "products aren't digits": [("23", r"2\cdot3"), (r"2\cdot3", "23"), ("2,3", "23")],
    "brackets": [("[1,2]", "(1,2)"), ("[1,2)", "(1,2)"), (r"\{1,2\}", "(1,2)"), ("(1,2)", "1,2")],
    "order of tuples": [("(2,1)", "(1,2)"), ("1:2", "2:1")],
    "too many or too few": [
        ("1,2,3", "1,2"),
        ("1", "1,2"),
        ("1,1", "1"),
        (r"\{1,2\}", r"\{1\}"),
        (r"1+\sqrt{19}", r"1\pm\sqrt{19}"),
    ],
    "one to one": [("1,1,2", "1,2,2")],
    "sides": [("x<5", "x>5"), (r"x\ge5", "x>5"), (r"(-\infty,2]", r"(-\infty,2)"), ("-2x>6", "x>-3")],
    "equations": [("y=2x+2", "y=2x+1"), ("x=5", "y=5"), ("13", "x^2+y^2=13"), ("x-3=0", "0"), ("-x=5", "5")],
    "units": [
        ("12 m", "12 cm"),
        ("12 kg", "12 cm"),
        (r"9\text{ a.m.}", r"9\text{ p.m.}"),
        ("12x", "12"),
        (r"12\text{ cm}^2", r"12\text{ cm}^3"),
    ],
    "units of percent and angles": [("30%", r"30^\circ"), (r"25\text{ km}", r"25\%"), (r"25^\circ", r"25\text{ km}")],
    "times of day": [("1:03", "1/3"), ("1:30 pm", "1:30 am")],
    "bases": [("1010_2", "1011_2"), ("1011_3", "1011_2"), ("11", "1011_2")],
    "shapes": [(r"\begin{pmatrix}1&2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), ("(1,2,3)", "(1,2)")],
    "texts": [
        ("B", r"\text{(A)}"),
        ("Tuesday", "Monday"),
        (r"\text{June 20}", "20"),
        ("dan", r"\text{Nad}"),
        ("a", "A"),
    ],
    "symbols": [("x", "y"), (r"\sin x", r"\cos x"), ("5x", "5"), (r"\infty", r"-\infty"), ("i", "1"), ("x+1", "x-1")],
    "nothing and nonsense": [("", "5"), ("10 12", "10"), ("1/0", "5"), ("{", "5"), (r"\foo{5}", "5")],
}


def pairs(groups):
    return [pytest.param(*pair, id=f"{name}: {pair[0]}") for name, group in groups.items() for pair in group]


def same(prediction, gold, question="Compute it."):
    return grade("gsm8k", question, gold, f"\\boxed{{{prediction}}}", grader="strict").correct


@pytest.mark.parametrize(("prediction", "gold"), pairs(SAME))
def test_same(prediction, gold):
    assert same(prediction, gold)


@pytest.mark.parametrize(("prediction", "gold"), pairs(DIFFERENT))
def test_different(prediction, gold):
    assert not same(prediction, gold)


def test_percent_sign_may_be_added_where_the_question_asks_for_percent():
    assert not same("40%", "40", "How many are left?")
    assert same("40%", "40", "What percentage is left?")
    assert same("40%", "40", "剩下百分之几？")
    assert not same("0.4", "40", "What percentage is left?")


def test_percent_sign_behind_the_box_may_count_or_not():
    for gold, right in (("3", True), ("3\\%", True), ("0.03", True), ("300", False)):
        assert grade("gsm8k", "How many?", gold, "\\boxed{3}%", grader="strict").correct == right


def test_base_may_be_left_out_where_the_question_says_it():
    assert same("1011", "1011_2", "Write eleven in base two.")
    assert not same("11", "1011_2", "Write eleven in base two.")
    assert same("1011_2", "1011", "Write eleven in base two.")


def test_comma_parts_answers_where_the_question_says_so():
    question = "Enter all solutions, separated by commas."
    assert same("234, 1", "1,234", question)
    assert not same("1234", "1,234", question)


def test_boxes_together_are_the_answer_where_the_question_wants_several():
    several = "Enter all solutions, separated by commas."
    gold = "So $x = \\boxed{1}$ or $x = \\boxed{2}$."
    assert grade("math", several, gold, "\\boxed{2}, \\boxed{1}", grader="strict").correct
    assert grade("math", several, gold, "First \\boxed{7}, then \\boxed{1,2}", grader="strict").correct
    assert not grade("math", several, gold, "\\boxed{2}", grader="strict").correct


def test_any_gold_answer_is_right_where_the_question_wants_only_one_of_them():
    gold = "A focus is \\boxed{(1,0)}, the other \\boxed{(-1,0)}."
    for answer in ("(1,0)", "(-1,0)"):
        assert grade("math", "Enter one focus, not both.", gold, f"\\boxed{{{answer}}}", grader="strict").correct
    assert not grade("math", "Enter the right focus.", gold, "\\boxed{(1,0)}", grader="strict").correct


def test_reason_names_what_the_gold_answer_is():
    def reason(prediction, gold):
        return grade("gsm8k", "", gold, f"\\boxed{{{prediction}}}", grader="strict").reason

    assert reason("5", "5") == "same"
    assert reason("5.0", "5") == "number"
    assert reason("2,1", "1,2") == "sequence"
    assert reason("6", "5") == "different"
    assert reason("", "5") == "no answer"


def test_mutated_answers_get_verdicts_too():
    """Tokens of the answers above, deleted, repeated and mixed."""
    generator = random.Random(0)
    texts = [text for groups in (SAME, DIFFERENT) for group in groups.values() for pair in group for text in pair]
    tokens = [token for text in texts for token in re.findall(r"\\[a-zA-Z]+|.", text)]
    for _ in range(5_000):
        gold = generator.choice(texts)
        mutated = re.findall(r"\\[a-zA-Z]+|.", gold)
        for _ in range(generator.randint(1, 4)):
            position = generator.randrange(len(mutated) + 1)
            mutated[position : position + generator.randint(0, 1)] = generator.choices(
                tokens, k=generator.randint(0, 2)
            )
        verdict = grade("gsm8k", "Compute it.", gold, f"\\boxed{{{''.join(mutated)}}}", grader="strict")
        assert isinstance(verdict.correct, bool)
