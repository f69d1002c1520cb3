"""What is there twice."""

import random

import hypothesis
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dsmath.data.preparation import prepare
from dsmath.data.stages import duplicates
from tests.data.published import ROW, settings, write

NAMES = ("Ada", "Ben", "Cleo", "Dan")
TEXT = (
    "{} buys {} pens at {} cents each and {} rulers at {} cents each, pays with a note and asks what all of it costs."
)


def record(question: str, *, mode: str = "cot", text: str = "So.", id: str = "x") -> dict:
    solution = [{"source": "model", "text": text}]
    texts = {"question": question, "mode": mode, "id": id, "source": "own", "lang": "en", "answer": "1"}
    return {"example": texts | {"solution": solution}}


def dropped(shards: list[list[dict]], ranks: list[int], threshold: float | None = 0.8) -> dict:
    signed = [duplicates.sign(shard) for shard in shards]
    blocks: dict[int, list] = {}
    for number, found in enumerate(signed):
        for partition, block in duplicates.blocks(number, ranks[number], found):
            blocks.setdefault(partition, []).append(block)
    pairs = np.concatenate([duplicates.candidates(given) for given in blocks.values()])
    return duplicates.decide(pairs, ranks, signed.__getitem__, threshold)


def question(r: random.Random) -> str:
    return TEXT.format(r.choice(NAMES), *(r.randrange(2, 10_000) for _ in range(4)))


def test_a_question_that_an_earlier_source_has_is_dropped_in_its_mode_alone():
    r = random.Random(1)
    first = [question(r) for _ in range(50)]
    near = [text.replace("it costs.", "it is") for text in first]
    shards = [[record(q) for q in first], [record(q) for q in near], [record(q, mode="tool") for q in near]]
    assert dropped(shards, [0, 1, 1], 0.8) == {(1, entry): 0 for entry in range(50)}
    assert dropped(shards, [0, 1, 1], None) == {}


def test_what_differs_stays():
    r = random.Random(2)
    words = [str(n) for n in range(1000)]
    texts = [" ".join(r.choices(words, k=40)) for _ in range(200)]
    assert dropped([[record(t) for t in texts[:100]], [record(t) for t in texts[100:]]], [0, 1]) == {}


def test_questions_of_one_source_are_its_own_business_but_the_same_example_is_there_once():
    r = random.Random(3)
    q = question(r)
    one, other = record(q, text="One way."), record(q, text="Another.")
    shards = [[one, other, one], [one]]
    assert dropped(shards, [0, 0]) == {(0, 2): 0, (1, 0): 0}


@hypothesis.settings(deadline=None)
@given(st.permutations(range(6)))
def test_the_order_of_blocks_makes_no_difference(order):
    r = random.Random(4)
    questions = [question(r) for _ in range(4)]
    signed = [duplicates.sign([record(r.choice(questions)) for _ in range(5)]) for _ in range(6)]
    blocks: dict[int, list] = {}
    for number, found in enumerate(signed):
        for partition, block in duplicates.blocks(number, number % 3, found):
            blocks.setdefault(partition, []).append(block)
    for given_blocks in blocks.values():
        shuffled = [given_blocks[i % len(given_blocks)] for i in order if i < len(given_blocks)]
        assert np.array_equal(duplicates.candidates(given_blocks), duplicates.candidates(shuffled))


def test_the_estimate_is_near_the_share_of_runs_in_common():
    r = random.Random(5)
    words = [str(n) for n in range(1000)]
    for _ in range(20):
        base = r.choices(words, k=120)
        changed = [w if r.random() > 0.03 else r.choice(words) for w in base]
        runs = [{tuple(t[i : i + 3]) for i in range(len(t) - 2)} for t in (base, changed)]
        share = len(runs[0] & runs[1]) / len(runs[0] | runs[1])
        found = duplicates.sign([record(" ".join(base)), record(" ".join(changed))])
        assert abs(np.mean(found.minhash[0] == found.minhash[1]) - share) < 0.2


def test_an_example_that_is_there_twice_is_counted(tmp_path):
    write(tmp_path / "published", "gsm8k", [ROW, ROW, ROW | {"question": "How much is 12 times 34?"}])
    manifest = prepare(settings(sources=("gsm8k",)), tmp_path / "data", tmp_path / "published")
    for mode in manifest["sources"]["gsm8k"]["modes"].values():
        assert mode["kept"] == 2
        assert mode["dropped"] == {"the same example again": 1}
