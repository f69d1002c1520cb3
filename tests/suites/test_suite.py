"""What the rows of the benchmarks mean, in every layout in which they are published."""

import io
import json
import logging
import tarfile

import pytest

from dsmath.error import UserError
from dsmath.score import graders
from dsmath.suites import catalogue
from tests.suites.made_up import ROWS, rows, write


@pytest.mark.parametrize(
    ("suite", "lang", "gold", "meta"),
    [
        ("gsm8k", "en", "1200", {}),
        ("math", "en", "It is $\\boxed{7}$.", {"level": "Level 2", "type": "Algebra"}),
        ("mgsm_zh", "zh", "1200", {}),
        ("cmath", "zh", "12", {"grade": 3, "reasoning_step": 1, "num_digits": 1}),
        ("math500", "en", "So $y=\\boxed{8}$.", {"level": "Level 4", "type": "Precalculus"}),
        ("svamp", "en", "1200", {"type": "Multiplication", "equation": "( 300.0 * 4.0 )"}),
        ("asdiv", "en", "1200", {"type": "Multiplication", "formula": "300*4=1200"}),
    ],
)
def test_a_row_becomes_a_problem(tmp_path, suite, lang, gold, meta):
    write(tmp_path, suite, rows(suite))
    first, second, *_ = found = catalogue.problems(suite, tmp_path)
    assert (first.suite, first.lang, first.gold, first.meta) == (suite, lang, gold, meta)
    assert first.question.strip() == first.question
    named = {"svamp": ("chal-1", "chal-2")}.get(suite, ("0", "1"))
    assert (first.id, second.id) == tuple(f"{suite}-test-{name}" for name in named)
    assert len({p.id for p in found}) == len({p.question for p in found}) == catalogue.find(suite).size


def test_svamp_s_body_ends_in_a_period(tmp_path):
    write(tmp_path, "svamp", [row | {"Body": "Ada has 3 pins."} for row in rows("svamp", 1)] + list(rows("svamp"))[1:])
    first, second, *_ = catalogue.problems("svamp", tmp_path)
    assert first.question == "Ada has 3 pins. 0: How many pins are in 4 such boxes?"
    assert second.question == "Ada has 300 pins. 1: How many pins are in 4 such boxes?"


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("9 (apples)", "9"),
        ("14  (seats)", "14"),
        ("1,250.5 (square feet)", "1250.5"),
        ("20", "20"),
        ("5:6", "5:6"),
        ("-(1/3)", "-(1/3)"),
        ("7/9 (of a pie)", "7/9"),
        ("3:30 p.m.", "3:30 p.m."),
        ("Mrs. Lovelace", "Mrs. Lovelace"),
    ],
)
def test_asdiv_s_gold_is_the_answer_without_its_unit_and_is_right_by_every_grader(answer, gold):
    found = catalogue.find("asdiv").layout.gold(ROWS["asdiv"] | {"answer": answer})
    assert found == gold
    for grader in ("reference", "strict"):
        assert graders.grade("asdiv", "", gold, f"So it is \\boxed{{{gold}}}.", grader=grader).correct, grader
        assert not graders.grade("asdiv", "", gold, "So it is \\boxed{21}.", grader=grader).correct, grader


@pytest.mark.parametrize(("target", "gold"), [(43.0, "43"), (39, "39"), (3.33333, "3.33333"), (1e6, "1000000")])
def test_a_number_is_written_as_people_write_it(target, gold):
    assert catalogue.find("mawps").layout.gold({"target": target}) == gold


def test_mawps_has_four_parts_which_problems_name(tmp_path):
    sizes = {"singleeq": 508, "singleop": 562, "addsub": 395, "multiarith": 600}
    for part, size in sizes.items():
        write(tmp_path, "mawps", rows("mawps", size), f"{part}.jsonl")
    found = catalogue.problems("mawps", tmp_path)
    assert {part: sum(p.meta == {"type": part} for p in found) for part in sizes} == sizes
    assert [found[0].id, found[-1].id] == ["mawps-test-singleeq-0", "mawps-test-multiarith-599"]
    (tmp_path / "mawps" / "addsub.jsonl").unlink()
    with pytest.raises(UserError, match=r"mawps/addsub.jsonl.*choose another --data_dir"):
        catalogue.problems("mawps", tmp_path)


def test_mgsm_as_its_authors_publish_it(tmp_path):
    write(tmp_path, "mgsm_zh", "".join(f'{i}: 他说\u2028"三"\t{i},000\n' for i in range(250)), "mgsm_zh.tsv")
    found = catalogue.problems("mgsm_zh", tmp_path)
    assert (found[7].id, found[7].question, found[7].gold) == ("mgsm_zh-test-7", '7: 他说\u2028"三"', "7000")


def test_svamp_as_its_authors_publish_it_names_the_same_problems(tmp_path):
    found = list(rows("svamp"))
    write(tmp_path / "a", "svamp", json.dumps(found), "SVAMP.json")
    write(tmp_path / "b", "svamp", reversed(found))
    assert catalogue.problems("svamp", tmp_path / "a") == catalogue.problems("svamp", tmp_path / "b")[::-1]


def test_asdiv_as_its_authors_publish_it_leaves_out_problems_with_several_answers(tmp_path):
    def xml(i, answer):
        return (
            f'<Problem ID="{i}" Grade="1" Source="x"><Body>{i}: a &lt; b.</Body><Question>How many?</Question>'
            f'<Solution-Type Subtype-1="Sum">Difference</Solution-Type><Answer>{answer}</Answer>'
            "<Formula>7-2=5</Formula></Problem>"
        )

    problems = [xml("several", "3 (boys); 4 (girls)"), *(xml(i, f"{i} (pins)") for i in range(2215))]
    write(tmp_path, "asdiv", f"<Machine-Reading>{''.join(problems)}</Machine-Reading>", "ASDiv.xml")
    found = catalogue.problems("asdiv", tmp_path)
    assert (found[0].id, found[0].question, found[0].gold) == ("asdiv-test-0", "0: a < b. How many?", "0")
    assert found[0].meta == {"type": "Difference", "formula": "7-2=5"}


def test_math_as_its_authors_publish_it_is_named_by_file_and_without_its_training_set(tmp_path):
    (tmp_path / "math").mkdir()
    with tarfile.open(tmp_path / "math" / "MATH.tar", "w") as tar:
        names = [f"test/{subject}/{i}" for i in (10, 9) for subject in ("geometry", "algebra")]
        names += [f"test/number_theory/{i}" for i in range(4996)] + ["train/algebra/1"]
        for name in names:
            content = json.dumps(ROWS["math"] | {"problem": name}).encode()
            member = tarfile.TarInfo(f"MATH/{name}.json")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    found = catalogue.problems("math", tmp_path)
    assert [p.id for p in found[:5]] == [
        f"math-test-{name}" for name in ("algebra-9", "algebra-10", "geometry-9", "geometry-10", "number_theory-0")
    ]
    assert [p.question for p in found[:2]] == ["test/algebra/9", "test/algebra/10"]


@pytest.mark.parametrize(
    ("suite", "name", "content"),
    [
        ("svamp", "SVAMP.json", "[{"),
        ("svamp", "SVAMP.json", "{}"),
        ("asdiv", "ASDiv.xml", "<Problem>"),
        ("math", "MATH.tar", "no tar"),
        ("mgsm_zh", "mgsm_zh.tsv", "\udcff"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it_and_the_way_out(tmp_path, suite, name, content):
    path = tmp_path / suite / name
    path.parent.mkdir()
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=r"--data_dir") as e:
        catalogue.problems(suite, tmp_path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_a_bad_line_is_named_and_missed(tmp_path, caplog):
    found = list(rows("cmath"))
    found[1:4] = ['{"torn\n', {"grade": 1}, found[3] | {"question": 5}]
    path = write(tmp_path, "cmath", found)
    with caplog.at_level(logging.WARNING), pytest.raises(UserError, match="1098 problems, but 1095 were found"):
        catalogue.problems("cmath", tmp_path)
    for message in (f"{path}:2: skipped", f"{path}:3: skipped, the field 'question' is missing", f"{path}:4: skipped"):
        assert message in caplog.text
    assert "skipped 1 bad line" in caplog.text
    assert "skipped 2 rows without the expected fields" in caplog.text


def test_a_gsm8k_row_without_a_marked_answer_is_no_problem(tmp_path, caplog):
    path = write(tmp_path, "gsm8k", [*rows("gsm8k"), {"question": "Why?", "answer": "Because."}])
    assert len(catalogue.problems("gsm8k", tmp_path)) == 1319
    assert f"{path}:1320: skipped" in caplog.text


@pytest.mark.parametrize("n", [0, 249, 251])
def test_another_number_of_problems_than_was_published_is_refused_in_one_line(tmp_path, n):
    path = write(tmp_path, "mgsm_zh", rows("mgsm_zh", n))
    with pytest.raises(UserError, match=rf"mgsm_zh has 250 problems, but {n} were found in .*--data_dir.*limit") as e:
        catalogue.problems("mgsm_zh", tmp_path, limit=10)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


SUBJECTS = {
    "Algebra": 1187,
    "Counting & Probability": 474,
    "Geometry": 479,
    "Intermediate Algebra": 903,
    "Number Theory": 540,
    "Prealgebra": 871,
    "Precalculus": 546,
}


@pytest.mark.parametrize("suite", [name for name, suite in catalogue.SUITES.items() if suite.layout])
def test_published_files_are_read_whole(real_data, suite, caplog):
    problems = catalogue.problems(suite, real_data)
    assert len(problems) == len({p.id for p in problems}) == catalogue.find(suite).size
    assert not caplog.records
    if suite == "math":
        assert {s: sum(p.meta["type"] == s for p in problems) for s in SUBJECTS} == SUBJECTS


@pytest.mark.parametrize("suite", ["svamp", "asdiv", "mawps"])
@pytest.mark.parametrize("grader", ["reference", "strict"])
def test_every_gold_is_right_by_itself(real_data, suite, grader):
    problems = catalogue.problems(suite, real_data)
    items = [graders.Item(suite, p.question, p.gold, f"The answer is \\boxed{{{p.gold}}}.") for p in problems]
    verdicts = graders.grade_all(items, grader=grader, workers=1)
    assert [p.gold for p, v in zip(problems, verdicts, strict=True) if not v.correct] == []
