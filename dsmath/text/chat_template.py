"""The chat template of an HF folder, as a Template: rendered with known words in place of a question, and cut there.

So a question never goes through somebody's Jinja, and no text of it becomes a special token. What can't be had this way
is refused: a template that repeats the user's message or changes it otherwise than by stripping it.
"""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dsmath import storage
from dsmath.error import UserError
from dsmath.text import jinja_process, token_files
from dsmath.text import tokenizer as tokenizers
from dsmath.text.template import BEGIN, Part, Special, Template
from dsmath.text.token_files import Added
from dsmath.text.tokenizer import Tokenizer

log = logging.getLogger(__name__)

_WALL_S = 60  # for a process that may work for jinja_process.CPU_S, on a machine that others use

# Questions that no template has anything of. What it does to one by its length or its signs shows in another.
_PLAIN = "Kwijibo 4711?"
_LONG = (
    "Grault $1 </think> \"x\" <b>&amp;</b> {{ y }} {% z %} \\frac{1}{2} it's 中文\n\n```python\nprint('[1]')\n```\n# "
    + 40 * "Fred"
)
_SPACED = " \n Plugh 0815 \n\n "
_ANSWER = "Xyzzy 2718."


def from_folder(folder: Path, tokenizer: Tokenizer) -> Template | None:
    """The template that a folder comes with; None where it has none. All but the prompt and the end is as ours have it.

    The ids of a prompt are those of `transformers`' apply_chat_template for one message of the user, the question with
    its instruction. A system prompt that the template puts by itself is kept; for a date it takes jinja_process.TODAY.
    Raises UserError for a template that fails, takes too long, or changes the message.
    """
    folder = storage.path(folder)
    source = tokenizers.chat_template(folder)
    if source is None:
        return None
    asked, answered = _rendered(folder, source, tokenizer)
    before, after, strips = _around(folder, asked)
    if strips:
        log.info("the chat template of %s strips messages; questions go in as they are", folder)
    lead, end = ("", None) if answered is None else _turn(answered, f"{before}{_PLAIN}{after}", tokenizer)
    parts = _parts(before, tokenizer.specials)
    # Behind BEGIN a text begins a sequence. Where text behind a special token doesn't, this one is as any other.
    if parts and isinstance(parts[0], Special) and tokenizer.special(parts[0].name) == tokenizer.bos:
        parts = (BEGIN, *parts[1:]) if tokenizer.begins_behind_special else parts
    return Template(
        f"own-{token_files.digest(json.dumps([source, before, after, lead, end]).encode())}",
        system=(),
        before=parts,
        after=_parts(after, tokenizer.specials),
        end=end,
        lead=lead,
    )


def _rendered(folder: Path, source: str, tokenizer: Tokenizer) -> tuple[list[str], str | None]:
    """The prompts of the three questions, and the first with an answer, where the template renders that."""
    asked = [_conversation(text) for text in (_PLAIN, _LONG, _SPACED)]
    answered = _conversation(_PLAIN, _ANSWER)
    names = {"eos_token": _name_of(tokenizer.eos, tokenizer), "bos_token": _name_of(tokenizer.bos, tokenizer)}
    variables = {role: name for role, name in names.items() if name} | dict(token_files.read(folder).names)
    *prompts, last = _run(folder, source, [*asked, answered], variables)
    texts = []
    for prompt in prompts:
        if isinstance(prompt, dict):
            raise UserError(_refusal(folder, f"fails on a question: {' '.join(prompt['error'].split())}"))
        texts.append(prompt)
    return texts, last if isinstance(last, str) else None


def _conversation(question: str, answer: str | None = None) -> dict:
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages, "add_generation_prompt": answer is None}


def _run(
    folder: Path, source: str, conversations: Sequence[dict], variables: Mapping[str, str]
) -> list[str | dict[str, str]]:
    job = json.dumps({"template": source, "conversations": conversations, "variables": variables})
    command = [sys.executable, "-P", jinja_process.__file__]  # -P: this folder is nobody's library
    try:
        done = subprocess.run(command, input=job, capture_output=True, text=True, timeout=_WALL_S, encoding="utf-8")
    except subprocess.TimeoutExpired:
        raise UserError(_refusal(folder, f"takes longer than {_WALL_S} s")) from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        most = f"{jinja_process.CPU_S} s and {jinja_process.MEMORY_BYTES >> 20} MiB"
        raise UserError(_refusal(folder, f"can't be rendered within {most}: {reason}"))
    return json.loads(done.stdout)


def _around(folder: Path, prompts: Sequence[str]) -> tuple[str, str, bool]:
    """What stands before and after the question, the same for each, and whether the question is stripped."""
    plain, long, spaced = prompts
    found = [_cut(plain, _PLAIN), _cut(long, _LONG)]
    ways = {_SPACED, _SPACED.rstrip(), _SPACED.lstrip(), _SPACED.strip()}
    for text in sorted(ways, key=len, reverse=True):
        if (last := _cut(spaced, text)) is not None and found == [last, last]:
            return *last, text != _SPACED
    raise UserError(_refusal(folder, "changes or repeats what the user says"))


def _cut(text: str, sentinel: str) -> tuple[str, str] | None:
    before, found, after = text.partition(sentinel)
    return (before, after) if found and sentinel not in after else None


def _turn(answered: str, prompt: str, tokenizer: Tokenizer) -> tuple[str, str | None]:
    """What an answer starts with behind the prompt, and the token that ends it; None for the end of the sequence."""
    if (cut := _cut(answered, _ANSWER)) is None:
        return "", None
    before, after = cut
    lead = before.removeprefix(prompt) if before.startswith(prompt) else ""
    ends = (part.name for part in _parts(after, tokenizer.specials) if isinstance(part, Special))
    end = next(ends, None)
    special = any(isinstance(part, Special) for part in _parts(lead, tokenizer.specials))
    return "" if special else lead, None if end is None or tokenizer.special(end) == tokenizer.eos else end


def _parts(text: str, specials: Sequence[Added]) -> tuple[Part, ...]:
    """A rendered text as `tokenizers` reads it: special tokens by name, the longest first, and the texts between."""
    by_name = {token.name: token for token in specials if token.name}
    if not by_name:
        return (text,) if text else ()
    names = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    parts: list[Part] = []
    takes = False  # the white space that follows
    for i, one in enumerate(re.split(f"({names})", text)):
        if i % 2:
            token = by_name[one]
            if token.lstrip and parts and isinstance(parts[-1], str):
                parts[-1] = parts[-1].rstrip()
            parts.append(Special(one))
            takes = token.rstrip
        else:
            parts.append(one.lstrip() if takes else one)
    return tuple(part for part in parts if part != "")


def _name_of(id: int | None, tokenizer: Tokenizer) -> str:
    return next((token.name for token in tokenizer.specials if token.id == id), "")


def _refusal(folder: Path, reason: str) -> str:
    return f"the chat template of {folder} {reason}; choose one of ours with --template"
