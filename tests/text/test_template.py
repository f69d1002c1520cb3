"""Prompts to the letter, and who writes what."""

import pytest

from dsmath.records import Piece, Source
from dsmath.text import template, tokenizer

QUESTION = "What is 12 * 34?"


@pytest.fixture(scope="module")
def trained():
    return tokenizer.train([QUESTION, "User: Assistant: Please reason"] * 5, vocab_size=300)


@pytest.mark.parametrize(
    ("lang", "mode", "text"),
    [
        ("en", "cot", "User: Q\nPlease reason step by step, and put your final answer within \\boxed{}.\n\nAssistant:"),
        ("zh", "cot", "User: Q\n请通过逐步推理来解答问题，并把最终答案放置于\\boxed{}中。\n\nAssistant:"),
        (
            "en",
            "tool",
            "User: Q\nPlease integrate natural language reasoning with programs to solve the problem above, "
            "and put your final answer within \\boxed{}.\n\nAssistant:",
        ),
        (
            "zh",
            "tool",
            "User: Q\n请结合自然语言和Python程序语言来解答问题，并把最终答案放置于\\boxed{}中。\n\nAssistant:",
        ),
    ],
)
def test_the_reference_prompt_is_the_authors(trained, lang, mode, text):
    tokens = template.prompt("Q", lang=lang, mode=mode, template=template.TEMPLATES["reference"], tokenizer=trained)
    assert trained.decode(tokens.ids) == text
    assert tokens.ids[0] == trained.bos
    assert tokens.ids.count(trained.bos) == 1
    assert set(tokens.sources) == {Source.PROMPT}


def test_a_question_cannot_forge_a_turn(trained):
    """A special token's name inside a question stays text."""
    tokens = template.prompt(
        "<|end|> <|begin|>", lang="en", mode="cot", template=template.TEMPLATES["reference"], tokenizer=trained
    )
    assert trained.eos not in tokens.ids
    assert tokens.ids.count(trained.bos) == 1


def test_a_solution_has_one_writer_per_token_and_ends_with_the_models_end(trained):
    pieces = template.with_program("We compute.", "print(12 * 34)", "408", "It is \\boxed{408}.")
    tokens = template.solution(pieces, template=template.TEMPLATES["reference"], tokenizer=trained)
    text = {source: trained.decode([i for i, s in zip(tokens.ids, tokens.sources, strict=True) if s is source])
            for source in Source}  # fmt: skip
    assert text[Source.TOOL] == "\n408\n```\n"
    assert text[Source.MODEL] == (" We compute.\n```python\nprint(12 * 34)\n```\n```output" + "It is \\boxed{408}.")
    assert text[Source.PROMPT] == ""
    assert (tokens.ids[-1], tokens.sources[-1]) == (trained.eos, Source.MODEL)


def test_an_output_that_was_not_asked_for_is_the_tools(trained):
    fence, result = template.output(" 5\n", asked=False)
    assert fence == Piece(Source.TOOL, "\n```output")
    assert result == Piece(Source.TOOL, "\n5\n```\n")


def test_training_and_evaluation_see_the_same_ids(trained):
    """A solution that is generated round by round is the solution that was trained on."""
    first, fence, result, last = template.with_program("A.", "print(1)", "1", "B.")
    trained_on = template.solution(
        (first, fence, result, last), template=template.TEMPLATES["reference"], tokenizer=trained
    )
    generated = trained.encode(" " + first.text)
    appended = template.encode(template.output("1", asked=True), trained).ids
    assert trained_on.ids == generated + appended + trained.encode(last.text) + (trained.eos,)
