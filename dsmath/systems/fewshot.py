"""Few-shot examples: other people's sentences, which a user brings along in a folder of text files (UTF-8).

    FOLDER/SUITE-MODE.txt   such as gsm8k-cot.txt: for one suite in one mode
    FOLDER/MODE.txt         such as cot.txt: for every suite in that mode that has no file of its own

A file holds the examples as the model's authors have them, with what stands between two of them; white space around
all of them is dropped. The record of a system says what comes behind: the question, laid out as an example is.
"""

import dataclasses
import hashlib
from pathlib import Path

from dsmath.error import UserError
from dsmath.rollout.ways import Way, Ways
from dsmath.systems.system import System
from dsmath.text.template import EXAMPLES, Template

DIGEST_CHARACTERS = 12


def takes(way: Way) -> bool:
    """Whether it is asked behind examples."""
    return EXAMPLES in way.template.system


def ways(system: System, folder: Path | None) -> Ways:
    """How a system is asked, with the folder's examples where it takes some. The names of templates say which.

    Raises UserError for a folder that isn't there or that the system has no use for; the ways raise it for a file that
    is missing, empty or no text.
    """
    of_suites = (*system.ways.values(), *system.of_suites.values())
    if folder is not None and not any(map(takes, of_suites)):
        raise UserError(f"--examples is {folder}, but {system.name} is asked without examples; leave it out")
    if folder is not None and not folder.is_dir():
        raise UserError(f"--examples is {folder}, which is no folder; expected one with files such as gsm8k-cot.txt")

    def way(suite: str, mode: str) -> Way:
        found = system.way(suite, mode)
        if not takes(found):
            return found
        if folder is None:
            raise UserError(
                f"{system.name} is asked {suite} behind examples; expected --examples FOLDER with {suite}-{mode}.txt, "
                f"or {mode}.txt for every suite"
            )
        return dataclasses.replace(found, template=_with(found.template, _read(folder, suite, mode)))

    return way


def _with(template: Template, text: str) -> Template:
    name = f"{template.name} with examples {hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]}"
    system = tuple(text if part == EXAMPLES else part for part in template.system)
    return dataclasses.replace(template, name=name, system=system)


def _read(folder: Path, suite: str, mode: str) -> str:
    names = (f"{suite}-{mode}.txt", f"{mode}.txt")
    for path in (folder / name for name in names):
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8").strip()
            except UnicodeDecodeError as e:
                raise UserError(f"{path} is no UTF-8 text: {e}; expected examples as text") from e
            if not text:
                raise UserError(f"{path} is empty; expected the examples that come before a question of {suite}")
            return text
    raise UserError(f"no {names[0]} and no {names[1]} in {folder}; expected the examples for {suite} in one of them")
