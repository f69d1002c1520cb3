"""Readers of the benchmarks."""

import json
import logging

import pytest

from dsmath.data import readers
from dsmath.error import UserError

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
}


def write(folder, suite, *lines, split="test"):
    path = folder / suite / f"{split}.jsonl"
    path.parent.mkdir()
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("suite", "lang", "gold", "meta"),
    [
        ("gsm8k", "en", "1200", {}),
        ("math", "en", "It is $\\boxed{7}$.", {"level": "Level 2", "type": "Algebra"}),
        ("mgsm_zh", "zh", "1200", {}),
        ("cmath", "zh", "12", {"grade": 3, "reasoning_step": 1, "num_digits": 1}),
    ],
)
def test_a_row_becomes_a_problem(tmp_path, suite, lang, gold, meta):
    write(tmp_path, suite, ROWS[suite], ROWS[suite])
    first, second = readers.problems(suite, tmp_path)
    assert (first.suite, first.lang, first.gold, first.meta) == (suite, lang, gold, meta)
    assert first.question in json.dumps(ROWS[suite], ensure_ascii=False)
    assert (first.id, second.id) == (f"{suite}-test-0", f"{suite}-test-1")


def test_a_bad_line_is_skipped_and_named_and_ids_stay_those_of_the_lines(tmp_path, caplog):
    row = ROWS["cmath"]
    wrong_type = row | {"question": 5}
    path = write(tmp_path, "cmath", row, '{"torn\n', {"grade": 1}, wrong_type, row)
    with caplog.at_level(logging.WARNING):
        assert [p.id for p in readers.problems("cmath", tmp_path)] == ["cmath-test-0", "cmath-test-4"]
    for message in (f"{path}:2: skipped", f"{path}:3: skipped, the field 'question' is missing", f"{path}:4: skipped"):
        assert message in caplog.text
    assert "skipped 1 bad line" in caplog.text
    assert "skipped 2 rows without the expected fields" in caplog.text


def test_a_gsm8k_row_without_a_marked_answer_is_skipped(tmp_path, caplog):
    path = write(tmp_path, "gsm8k", ROWS["gsm8k"], {"question": "Why?", "answer": "Because."})
    assert len(readers.problems("gsm8k", tmp_path)) == 1
    assert f"{path}:2: skipped" in caplog.text


def test_the_limit_gives_the_first_problems(tmp_path):
    write(tmp_path, "math", *[ROWS["math"]] * 5)
    assert readers.problems("math", tmp_path, limit=2) == readers.problems("math", tmp_path)[:2]


@pytest.mark.parametrize("lines", [None, [], ["{}\n"]])
def test_a_missing_or_empty_file_is_one_line_that_names_it_and_the_way_out(tmp_path, lines):
    if lines is not None:
        write(tmp_path, "math", *lines)
    with pytest.raises(UserError, match="--data_dir") as e:
        readers.problems("math", tmp_path)
    assert str(tmp_path / "math" / "test.jsonl") in str(e.value)
    assert "\n" not in str(e.value)


def test_no_folder_at_all_and_an_unknown_suite_are_named():
    with pytest.raises(UserError, match=r"gsm8k is read from published files.*--data_dir"):
        readers.problems("gsm8k", None)
    with pytest.raises(UserError, match=r"unknown suite 'gsm9k'; expected one of: embedded, gsm8k"):
        readers.problems("gsm9k", None)


def test_the_embedded_suite_needs_no_folder_and_takes_turns_between_languages():
    problems = readers.problems("embedded", limit=61)
    assert [p.lang for p in problems] == [("en", "zh")[i % 2] for i in range(61)]
    assert readers.problems("embedded", limit=20) == problems[:20]
    assert len(readers.problems("embedded")) == readers.EMBEDDED_PROBLEMS


@pytest.mark.parametrize(("suite", "count"), [("gsm8k", 1319), ("math", 5000), ("mgsm_zh", 250), ("cmath", 1098)])
def test_published_files_are_read_whole(real_data, suite, count, caplog):
    problems = readers.problems(suite, real_data)
    assert len(problems) == len({p.id for p in problems}) == count
    assert not caplog.records
