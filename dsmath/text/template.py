"""Prompts, and how a solution with a program looks.

`reference` is the prompt of the DeepSeekMath authors' evaluation code; `chatml` wraps the same question and instruction
in SmolLM2's chat format.
"""

import dataclasses
from collections.abc import Sequence

from dsmath.error import UserError
from dsmath.text.source import Piece, Source, Tokens
from dsmath.text.tokenizer import Tokenizer

# The authors' evaluation code, few-shot free: by language and mode, what follows the question.
INSTRUCTIONS = {
    ("en", "cot"): "\nPlease reason step by step, and put your final answer within \\boxed{}.",
    ("zh", "cot"): "\n请通过逐步推理来解答问题，并把最终答案放置于\\boxed{}中。",
    ("en", "tool"): "\nPlease integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}.",
    ("zh", "tool"): "\n请结合自然语言和Python程序语言来解答问题，并把最终答案放置于\\boxed{}中。",
}

OUTPUT_FENCE = "```output"  # the model writes it to have its program run; generation stops there


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
