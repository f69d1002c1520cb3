"""Ids of conversations with special tokens are what the systems' own code makes of them, by sentencepiece itself."""

import dataclasses

import pytest
import sentencepiece

from dsmath.records import Source, Stop
from dsmath.rollout.rollout import rollout
from dsmath.systems import roster
from dsmath.text import tokenizer
from dsmath.text.codec import TokenCodec
from tests.rollout.scripted import Says, ScriptedGenerator, problem, run_way, setup_of
from tests.text.sentences import train_pieces, write_config

QUESTION = "Tom has 3 apples; how many more does he have?"
CODE = "```python\nx = 3 * 4\nx\n```"
PLACES = ("<|interpreter|>", "<|action_start|>", "<|action_end|>", "<|im_end|>", "<|im_start|>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return train_pieces(tmp_path_factory.mktemp("pieces")).parent


@pytest.fixture(scope="module")
def raw(folder):
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def conversation(name: str, said: list[Says], codec: TokenCodec, sandbox) -> list[int]:
    """All ids of a conversation but the last turn of the model, and that of each turn of the model as it is."""
    way = roster.find(name).way("math", "tool")
    record, generator = run_way(way, "tool", {"p": said}, sandbox, codec=codec, question=QUESTION)
    assert all(generator.requests[0].ids == request.ids[: len(record.prompt.ids)] for request in generator.requests)
    return list(generator.requests[-1].ids)


def test_chatglm3_encodes_headers_questions_and_observations_each_as_one_that_begins(folder, raw, sandbox):
    """As build_single_message of its tokenization_chatglm.py does."""
    write_config(folder, tokenizer_class="ChatGLMTokenizer")
    t = tokenizer.load(folder)
    n = raw.vocab_size()
    gmask, sop, system, user, assistant, observation = n + 1, n + 3, n + 5, n + 6, n + 7, n + 8
    said = [Says(f"interpreter\n{CODE}", Stop.TEXT), Says("It is 12.", Stop.END)]
    codec = TokenCodec(t)
    prompt = roster.find("chatglm3-6b").way("math", "tool").template.system[-1]
    instruction = "Please reason step by step, and put your final answer within \\boxed{}."
    line_end = raw.encode("\n")
    assert conversation("chatglm3-6b", said, codec, sandbox) == [
        *(gmask, sop),
        *(system, *line_end, *raw.encode(prompt)),
        *(user, *line_end, *raw.encode(f"{QUESTION}\n{instruction}")),
        *(assistant, *codec.encode(Source.MODEL, (said[0].text,)).ids),
        *(observation, *line_end, *raw.encode("12")),
        assistant,
    ]


def test_internlm2_encodes_what_stands_between_special_tokens_in_one_go(folder, raw, sandbox):
    """As transformers' slow tokenizer does with the text of a whole conversation."""
    n = raw.vocab_size()
    added = {str(n + i): {"content": name, "special": True} for i, name in enumerate(PLACES)}
    write_config(folder, tokenizer_class="InternLM2Tokenizer", added_tokens_decoder=added)
    codec = TokenCodec(tokenizer.load(folder))
    interpreter, _, action_end, im_end, im_start = range(n, n + len(PLACES))
    guidelines = roster.find("internlm2-math-20b").way("math", "tool").template.system[4]
    said = [Says(f"We compute.\n{CODE}", Stop.TEXT), Says("It is 12.", Stop.END)]
    assert conversation("internlm2-math-20b", said, codec, sandbox) == [
        *(raw.bos_id(), im_start, *raw.encode("system name="), interpreter, *raw.encode(guidelines), im_end),
        *(*raw.encode("\n"), im_start, *raw.encode(f"user\n{QUESTION}"), im_end),
        *(*raw.encode("\n"), im_start, *raw.encode("assistant\n")),
        *(*codec.encode(Source.MODEL, (said[0].text,)).ids, action_end),
        *(*raw.encode("\n"), im_end),
        *(*raw.encode("\n"), im_start, *raw.encode("environment name="), interpreter, *raw.encode("\n12"), im_end),
        *(*raw.encode("\n"), im_start, *raw.encode("assistant\n")),
    ]


def test_seallm_begins_once_and_writes_its_marks_as_text(folder, raw):
    """With a space where the sequence begins, and behind `</s>`, as its card shows it."""
    write_config(folder, legacy=False)
    codec = TokenCodec(tokenizer.load(folder))
    template = roster.find("seallm-7b-v2").way("math", "cot").template
    parts = template.prompt(QUESTION, lang="en", mode="cot")
    instruction = "Please reason step by step, and put your final answer within \\boxed{}."
    ids = list(codec.encode(Source.PROMPT, parts).ids)
    assert ids[: ids.index(raw.eos_id()) + 1] == [
        raw.bos_id(),
        *raw.encode(f"<|im_start|>user\n{QUESTION}\n{instruction}"),
        raw.eos_id(),
    ]
    assert ids[ids.index(raw.eos_id()) + 1 :] == raw.encode("<|im_start|>assistant\n")


def test_special_tokens_within_a_turn_of_the_model_stay_though_they_are_no_text(codec, sandbox):
    start, interpreter = (codec.tokenizer.special(name) for name in ("<|action_start|>", "<|interpreter|>"))
    text = codec.encode(Source.MODEL, (CODE,)).ids

    class Calling(ScriptedGenerator):
        def poll(self):
            (completion,) = super().poll()
            if completion.stop is Stop.END:
                return [completion]
            piece = dataclasses.replace(
                completion.piece, ids=(start, interpreter, *text, *codec.tokenizer.encode("\n"))
            )
            return [dataclasses.replace(completion, piece=piece)]

    generator = Calling({"p": [Says(f"{CODE}\n", Stop.TEXT), Says("12", Stop.END)]}, codec=codec)
    way = roster.find("internlm2-math-20b").way("math", "tool")
    (record,) = rollout([problem("p")], generator, sandbox, setup_of(way, "tool"))
    prompt = generator.requests[0].ids
    turn = (start, interpreter, *text, codec.tokenizer.special("<|action_end|>"))
    assert generator.requests[1].ids[len(prompt) :][: len(turn)] == turn
    assert record.response[0].text == CODE
    assert record.response[0].ids == turn[:-1]
    assert [program.shown for program in record.programs] == ["12"]
