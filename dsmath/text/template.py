"""Prompts, and how a solution with a program looks.

`reference` is the prompt of the DeepSeekMath authors' evaluation code; `chatml` wraps the same question and instruction
in SmolLM2's chat format.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from dsmath.records import OUTPUT_FENCE, Piece, Source
from dsmath.text.tokenizer import Tokenizer

# The authors' evaluation code, few-shot free: by language and mode, what follows the question.
INSTRUCTIONS = {
    ("en", "cot"): "\nPlease reason step by step, and put your final answer within \\boxed{}.",
    ("zh", "cot"): "\n请通过逐步推理来解答问题，并把最终答案放置于\\boxed{}中。",
    ("en", "tool"): "\nPlease integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}.",
    ("zh", "tool"): "\n请结合自然语言和Python程序语言来解答问题，并把最终答案放置于\\boxed{}中。",
    # Ours: the authors evaluate other systems with programs alone, DeepSeekMath-Instruct not.
    ("en", "pot"): "\nPlease write a Python program that solves the problem above and prints the final answer.",
    ("zh", "pot"): "\n请编写一个Python程序来解答上述问题，并打印最终答案。",
}

OUTPUT_END = "\n```\n"  # after the program's output


@dataclasses.dataclass(frozen=True)
class Tokens:
    """Token ids [T] and, for each, its source [T]."""

    ids: tuple[int, ...]
    sources: tuple[Source, ...]

    def __post_init__(self):
        if len(self.ids) != len(self.sources):
            raise ValueError(f"{len(self.ids)} ids but {len(self.sources)} sources")

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.ids + other.ids, self.sources + other.sources)

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class Special:
    """A special token, by name. Text never turns into one, whatever it says."""

    name: str


@dataclasses.dataclass(frozen=True)
class Template:
    """What stands before the question and after the instruction, and what the model's first words begin with."""

    before: tuple[Special | str, ...]
    after: tuple[Special | str, ...]
    lead: str  # the model's answer starts with it in training; free in generation
    bos: bool  # whether the tokenizer's begin-of-sequence token comes first
    end: str | None  # the token that ends a turn; None for the tokenizer's end-of-sequence


TEMPLATES = {
    "reference": Template(before=("User: ",), after=("\n\nAssistant:",), lead=" ", bos=True, end=None),
    "chatml": Template(
        before=(
            Special("<|im_start|>"),
            "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face",
            Special("<|im_end|>"),
            "\n",
            Special("<|im_start|>"),
            "user\n",
        ),
        after=(Special("<|im_end|>"), "\n", Special("<|im_start|>"), "assistant\n"),
        lead="",
        bos=False,
        end="<|im_end|>",
    ),
}


def prompt(
    question: str,
    *,
    lang: str,
    mode: str,
    template: Template,
    tokenizer: Tokenizer,
    instructions: Mapping[tuple[str, str], str] = INSTRUCTIONS,
) -> Tokens:
    """The prompt of a question, ready for generation."""
    ids = [] if tokenizer.bos is None or not template.bos else [tokenizer.bos]
    middle = (question + instructions[lang, mode],)
    # Text between special tokens is encoded in one go: tokens may span our own borders as they would in the plain text.
    for part in _merge_text(template.before + middle + template.after):
        ids.extend([tokenizer.special(part.name)] if isinstance(part, Special) else tokenizer.encode(part))
    return Tokens(tuple(ids), (Source.PROMPT,) * len(ids))


def encode(pieces: Sequence[Piece], tokenizer: Tokenizer) -> Tokens:
    """Pieces encoded one by one, so that no token has two writers."""
    tokens = Tokens((), ())
    for piece in pieces:
        ids = tokenizer.encode(piece.text)
        tokens += Tokens(ids, (piece.source,) * len(ids))
    return tokens


def solution(pieces: Sequence[Piece], *, template: Template, tokenizer: Tokenizer) -> Tokens:
    """The tokens that a model is to write after the prompt, with the end token, and what tools answer in between."""
    first, *rest = pieces
    tokens = encode([Piece(first.source, template.lead + first.text), *rest], tokenizer)
    return tokens + Tokens((end_token(template, tokenizer),), (Source.MODEL,))


def end_token(template: Template, tokenizer: Tokenizer) -> int:
    """The id that ends the model's turn."""
    return tokenizer.eos if template.end is None else tokenizer.special(template.end)


def program(code: str) -> str:
    """A program as the model writes it."""
    return f"```python\n{code}\n```"


def output(result: str, *, asked: bool) -> tuple[Piece, Piece]:
    """A program's result as it goes into the text, after the closing fence of the program.

    Where the model `asked` by writing the output fence, the fence is its own; else the tool's.
    """
    fence = Piece(Source.MODEL if asked else Source.TOOL, f"\n{OUTPUT_FENCE}")
    return fence, Piece(Source.TOOL, f"\n{result.strip()}{OUTPUT_END}")


def with_program(before: str, code: str, result: str, after: str) -> tuple[Piece, ...]:
    """A tool-integrated solution: prose and program, the program's result, the conclusion."""
    return (
        Piece(Source.MODEL, f"{before}\n{program(code)}"),
        *output(result, asked=True),
        Piece(Source.MODEL, after),
    )


def _merge_text(parts: Sequence[Special | str]) -> list[Special | str]:
    merged: list[Special | str] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return merged
