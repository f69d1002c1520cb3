"""Examples that hold a part of a benchmark don't come into a training set, wherever they hold it."""

from dsmath.data.preparation import prepare
from tests.data.published import ROW, settings, write
from tests.suites import made_up

LEAK = "Seven rowers share nine boats and each boat needs three more oars than it has, so how many oars are bought?"


def test_leaks_into_question_and_solution_are_dropped_and_reported_with_what_they_share(tmp_path):
    data_dir, rows = tmp_path / "published", list(made_up.rows("svamp"))
    rows[3]["Body"], rows[3]["Question"] = LEAK.split(", so ")[0], "so " + LEAK.split(", so ")[1]
    made_up.write(data_dir, "svamp", rows)
    planted = [
        ROW,
        ROW | {"question": LEAK.upper()},
        ROW | {"answer": f"As in: {LEAK}\n{ROW['answer']}"},
        ROW | {"question": "Seven rowers share nine boats."},
    ]
    write(data_dir, "gsm8k", planted)
    wanted = settings(sources=("gsm8k",), modes=("cot",), decontaminate=("svamp",))
    manifest = prepare(wanted, tmp_path / "data", data_dir)
    mode = manifest["sources"]["gsm8k"]["modes"]["cot"]
    assert mode["kept"] == 2
    assert mode["dropped"] == {"a 10-gram of svamp": 1, "a problem of svamp": 1}
    assert manifest["decontaminated"]["suites"] == {"svamp": 1000}
    report = (tmp_path / "data" / "report.md").read_text()
    assert "`train.jsonl:2` SEVEN ROWERS" in report
    assert "svamp-test-chal-4: seven rowers share nine boats and each boat needs three" in report
