"""Prompts to the letter, who writes what, and the same prompt in Jinja."""

import itertools

import pytest
import transformers

from dsmath.error import UserError
from dsmath.model import smollm2
from dsmath.records import Source
from dsmath.text import template, tokenizer
from dsmath.text.template import BEGIN, Special

REFERENCE = template.find("reference")


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
def test_the_reference_prompt_is_the_authors(lang, mode, text):
    assert REFERENCE.prompt("Q", lang=lang, mode=mode) == (BEGIN, text)


def test_texts_that_meet_are_one_text_and_special_tokens_stand_alone():
    parts = template.find("chatml").prompt("Q", lang="en", mode="cot")
    assert not any(isinstance(a, str) and isinstance(b, str) for a, b in itertools.pairwise(parts))
    assert [part.name for part in parts if isinstance(part, Special)] == [
        *("<|im_start|>", "<|im_end|>"),
        *("<|im_start|>", "<|im_end|>"),
        "<|im_start|>",
    ]


@pytest.mark.parametrize(("asked", "writer"), [(True, Source.MODEL), (False, Source.FRAME)])
def test_an_output_stands_in_a_frame_and_the_fence_is_whose_it_is(asked, writer):
    assert REFERENCE.output("5", asked=asked) == (
        (writer, ("\n```output",)),
        (Source.FRAME, ("\n",)),
        (Source.TOOL, ("5",)),
        (Source.FRAME, ("\n```\n",)),
    )


def test_a_solution_with_a_program_reads_as_the_authors_do():
    pieces = template.with_program("We compute.", "print(12 * 34)", "408\n", "It is \\boxed{408}.")
    assert "".join(piece.text for piece in pieces) == (
        "We compute.\n```python\nprint(12 * 34)\n```\n```output\n408\n```\nIt is \\boxed{408}."
    )


def test_an_unknown_template_is_one_line():
    with pytest.raises(UserError, match="no template is named 'alpaca'; expected one of: reference, chatml"):
        template.find("alpaca")


@pytest.fixture(scope="module")
def tokenizers():
    """With a begin token, and SmolLM2's, which has the tokens of chatml."""
    trained = tokenizer.train(["User: Assistant: Please reason 12 34"] * 5, vocab_size=300)
    return {"reference": trained, "chatml": tokenizer.from_gguf(smollm2.fetch())}


@pytest.mark.parametrize("name", template.TEMPLATES)
@pytest.mark.parametrize("content", ["What is 12 * 34?\nSay 'it'.", "中文 {{ x }} \\boxed{}\n", "  spaces  "])
def test_in_jinja_a_conversation_is_what_we_train_on_to_the_byte(tmp_path, tokenizers, name, content):
    """Of `transformers`' rendering, and of its ids: a prompt, and a prompt with its answer."""
    ours, record = tokenizers[name], template.find(name)
    ours.save(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    theirs.chat_template = record.chat_template()
    parts = (*record.system, *record.before, content, *record.after)
    names = {"": theirs.bos_token or ""} if ours.bos is not None else {"": ""}
    text = "".join(part if isinstance(part, str) else names.get(part.name, part.name) for part in parts)
    user = [{"role": "user", "content": content}]
    assert theirs.apply_chat_template(user, tokenize=False, add_generation_prompt=True) == text
    answered = [*user, {"role": "assistant", "content": "It is 408."}]
    end = record.end or theirs.eos_token
    assert theirs.apply_chat_template(answered, tokenize=False) == f"{text}{record.lead}It is 408.{end}"
