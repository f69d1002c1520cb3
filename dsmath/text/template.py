"""Templates: how a model is talked to: how a prompt begins, how a program is asked for, its output shown, what stops.

`reference` is the prompt of the DeepSeekMath authors' evaluation code; `chatml` wraps the same question and instruction
in SmolLM2's chat format. In both a program stands in a Python fence, and the model asks for its output by writing an
output fence, where generation stops. Other systems' own templates stand in their records, in dsmath/systems.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from dsmath.error import UserError
from dsmath.records import COT, MODES, OUTPUT_FENCE, POT, PYTHON_FENCE, TOOL, Piece, Source

# The authors' evaluation code, few-shot free: by language and mode, what follows the question.
INSTRUCTIONS = {
    ("en", COT): "\nPlease reason step by step, and put your final answer within \\boxed{}.",
    ("zh", COT): "\n请通过逐步推理来解答问题，并把最终答案放置于\\boxed{}中。",
    ("en", TOOL): "\nPlease integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}.",
    ("zh", TOOL): "\n请结合自然语言和Python程序语言来解答问题，并把最终答案放置于\\boxed{}中。",
    # Ours: the authors evaluate other systems with programs alone, DeepSeekMath-Instruct not.
    ("en", POT): "\nPlease write a Python program that solves the problem above and prints the final answer.",
    ("zh", POT): "\n请编写一个Python程序来解答上述问题，并打印最终答案。",
}
AS_IT_IS = {(lang, mode): "" for lang in ("en", "zh") for mode in MODES}  # nothing follows a question


@dataclasses.dataclass(frozen=True)
class Special:
    """A special token, by name. Text never turns into one, whatever it says."""

    name: str


Part = Special | str
BEGIN = Special("")  # the tokenizer's begin-of-sequence token, where it has one
APART = Special(" ")  # no token: the texts before and after it are encoded apart, each as one that begins
EXAMPLES = Special("{examples}")  # no token: where few-shot examples go, which a user brings: dsmath/systems/fewshot.py


def written(parts: Sequence[Part]) -> str:
    """Parts as text, in which a special token stands by its name."""
    return "".join(part if isinstance(part, str) else part.name.strip() for part in parts)


@dataclasses.dataclass(frozen=True)
class Template:
    """One way of talking to a model."""

    name: str
    system: tuple[Part, ...]  # what a conversation begins with
    before: tuple[Part, ...]  # the question
    after: tuple[Part, ...]  # the instruction
    end: str | None  # the token that ends the model's turn; None for the tokenizer's end-of-sequence
    lead: str = ""  # the model's answer starts with it in training; free in generation
    instructions: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=lambda: INSTRUCTIONS)
    ends: tuple[Part, ...] = ()  # what else ends the model's answer, in every mode
    stops: tuple[Part, ...] = (OUTPUT_FENCE,)  # what the model writes to have its program run
    asks: tuple[Part, ...] = (f"\n{OUTPUT_FENCE}",)  # the same, as it stands behind a program
    output_before: tuple[Part, ...] = ("\n",)
    output_after: tuple[Part, ...] = ("\n```\n",)

    def prompt(self, question: str, *, lang: str, mode: str) -> tuple[Part, ...]:
        """The prompt of a question, ready for generation; no two texts stand side by side."""
        return _merge_text((*self.system, *self.before, question + self.instructions[lang, mode], *self.after))

    def output(self, shown: str, *, asked: bool) -> tuple[tuple[Source, tuple[Part, ...]], ...]:
        """What goes into a response behind a program whose output is `shown`, by its writers.

        Where the model `asked` by what it wrote, that is its own; else the loop's.
        """
        apart = self.output_before[-1:] if self.output_before[-1:] == (APART,) else ()
        return (
            (Source.MODEL if asked else Source.FRAME, self.asks),
            (Source.FRAME, self.output_before),
            (Source.TOOL, (*apart, shown)),
            (Source.FRAME, self.output_after),
        )

    def chat_template(self) -> str:
        """The template in Jinja, as `transformers` has it: a user's message is a question with its instruction."""
        system, before, after = ("".join(map(_jinja, parts)) for parts in (self.system, self.before, self.after))
        end = "{{ eos_token }}" if self.end is None else _jinja(Special(self.end))
        return (
            f"{system}{{% for message in messages %}}{{% if message['role'] == 'user' %}}"
            f"{before}{{{{ message['content'] }}}}{after}"
            f"{{% else %}}{_jinja(self.lead)}{{{{ message['content'] }}}}{end}{{% endif %}}{{% endfor %}}"
        )


TEMPLATES = {
    template.name: template
    for template in (
        Template("reference", system=(BEGIN,), before=("User: ",), after=("\n\nAssistant:",), end=None, lead=" "),
        Template(
            "chatml",
            system=(
                Special("<|im_start|>"),
                "system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face",
                Special("<|im_end|>"),
                "\n",
            ),
            before=(Special("<|im_start|>"), "user\n"),
            after=(Special("<|im_end|>"), "\n", Special("<|im_start|>"), "assistant\n"),
            end="<|im_end|>",
        ),
    )
}

# A question and its instruction alone, for a server that lays out the conversation by itself.
MESSAGES = Template("messages", system=(), before=(), after=(), end=None)

# The same where a program comes as the call of a function, or of a tool that the server has: nothing is written to ask.
CALL = Special("a call")
FUNCTIONS = Template(
    "functions",
    system=(),
    before=(),
    after=(),
    end=None,
    stops=(CALL,),
    asks=(),
    output_before=(f"\n{OUTPUT_FENCE}\n",),
)


OWN = "own"  # in place of a template's name: what the folder of weights comes with, see dsmath/text/chat_template.py


def find(name: str) -> Template:
    """The template of that name. Raises UserError if there is none."""
    if name not in TEMPLATES:
        raise UserError(f"no template is named {name!r}; expected one of: {', '.join([*TEMPLATES, OWN])}")
    return TEMPLATES[name]


def check(name: str) -> None:
    """Raise UserError for a name that is neither a template's nor OWN."""
    if name != OWN:
        find(name)


def with_program(before: str, code: str, printed: str, after: str) -> tuple[Piece, ...]:
    """A tool-integrated solution as training sets hold it: prose and program, the program's output, the conclusion."""
    shown = TEMPLATES["reference"].output(printed.strip(), asked=True)
    return (
        Piece(Source.MODEL, f"{before}\n{program(code)}"),
        *(Piece(source, written(parts)) for source, parts in shown),
        Piece(Source.MODEL, after),
    )


def program(code: str) -> str:
    """A program as the model writes it."""
    return f"{PYTHON_FENCE}\n{code}\n```"


def _jinja(part: Part) -> str:
    if part == BEGIN:
        return "{{ bos_token if bos_token is defined and bos_token else '' }}"
    text = part.name if isinstance(part, Special) else part
    return "{{ '" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "' }}"


def _merge_text(parts: Sequence[Part]) -> tuple[Part, ...]:
    merged: list[Part] = []
    for part in parts:
        if isinstance(part, str) and merged and isinstance(merged[-1], str):
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)
