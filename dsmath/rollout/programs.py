"""From a response to the program that runs, and from its run to what the model is shown.

Unless a function says otherwise, the rules and the quirks are those of the DeepSeekMath authors' evaluation code (its
tool-integrated inference and its Python executor); each that moves scores has a name and a test. Two things differ on
purpose: there, main guards don't run, and a program that calls `exit()` has failed.
"""

import re
from collections.abc import Callable

from dsmath.records import FENCE, PYTHON_FENCE, Exit, Ran

SHOWN_CHARS = 100  # of stdout; more is cut to the first and last half
SHOWN_TOKENS = 100  # of a traceback, likewise
TORA_CHARS = 400  # of stdout or of an error
STRICT_CHARS = 2000

# A program that mentions these is an error, and doesn't run.
REFUSED = re.compile(r"input\(|os.system\(")
REFUSAL = Ran(exit=Exit.ERROR, stdout="", stderr="RuntimeError", cpu_s=0.0, wall_s=0.0, peak_bytes=0, truncated=False)

Clip = Callable[[str, int], str]  # of a text, what is left of it in so many tokens: dsmath/text/codec.py

_DOCSTRING = '"""'
_TRACEBACK = "Traceback (most recent call last):\n"
_SYNTAX_ERROR = re.compile(r'^  File "<string>", line \d+$', re.MULTILINE)
_FRAME = re.compile(r'(?P<indent>.*)File "(?P<path>.*)", line \d+, (?P<where>.*)')
_SITE_PATH = re.compile(r"/.*?(site-packages/.*\.py)")
# Python 3.10, which the authors' code pins, doesn't say this.
_SUGGESTION = re.compile(r"\. Did you (?:mean:|forget to import) '[^']*'\?$", re.MULTILINE)


def program(response: str) -> str | None:
    """The program to run after a response, or None. It runs only if the response ends with a fence."""
    if not response.strip().endswith(FENCE):
        return None
    code = assemble(response)
    return without_comments(code) if code else None


def assemble(response: str) -> str:
    """All Python blocks of a response as one program; "" if there is none.

    The last block is whole. Of earlier ones, lines that print are dropped, unless they are indented by four spaces or
    begin with `import` or `def `. Quirks: text before the first Python block is a block too if it holds a fence, and
    every block loses the white space around it, its first line's indentation included.
    """
    parts = (part for part in response.split(PYTHON_FENCE) if FENCE in part)
    blocks = [block for part in parts if (block := part.split(FENCE, 1)[0].strip())]
    if not blocks:
        return ""
    *earlier, last = blocks
    kept = [line for block in earlier for line in block.split("\n") if _stays(line)]
    return "\n".join([*kept, last]).strip()


def last_block(text: str) -> str | None:
    """The last Python block of a text that ends with a fence; None if it doesn't, or the block isn't Python."""
    text = text.rstrip()
    if not text.endswith(FENCE):
        return None
    _, opened, code = text.removesuffix(FENCE).rpartition(PYTHON_FENCE)
    return code.strip("\n") or None if opened and FENCE not in code else None


def whole(text: str) -> str | None:
    """The program of a response that is to be one: its last Python block, closed or not, or else all of it."""
    _, opened, code = text.rpartition(PYTHON_FENCE)
    code = code.partition(FENCE)[0] if opened else text
    return code.strip("\n") or None


def without_code(output: str) -> str:
    """A program's output in which no Python fence opens a block."""
    return output.replace(PYTHON_FENCE, FENCE)


def _stays(line: str) -> bool:
    return line.startswith(("    ", "import", "def ")) or "print(" not in line


def without_comments(code: str) -> str:
    """A program without the text of whole-line comments and of docstrings.

    Quirks: any line that begins with three double quotes opens a docstring unless it also closes it, so the closing
    line of a string that was *assigned* opens one, and swallows what follows; text before the closing quotes of a
    docstring's last line goes too.
    """
    lines = []
    inside = False
    for line in code.split("\n"):
        text = line.strip()
        if text.startswith("#"):
            line = line.split("#", 1)[0] + "# comments"
        elif inside:
            if text.endswith(_DOCSTRING):
                inside = False
                line = ""
        elif text.startswith(_DOCSTRING):
            if text.endswith(_DOCSTRING) and len(text) >= 2 * len(_DOCSTRING):
                line = line.split(_DOCSTRING, 1)[0] + f"{_DOCSTRING}comments{_DOCSTRING}"
            else:
                inside = True
        if not inside:
            lines.append(line)
    return "\n".join(lines)


def shown(ran: Ran, clip: Clip) -> str:
    """What the model sees of a run: stdout, or what went wrong.

    Quirks: what a program printed before it failed is lost, and one that succeeds without printing shows as an error
    without a message.
    """
    printed = ran.stdout.strip() if ran.exit is Exit.OK else ""
    if printed:
        return _middle_out(printed)
    return f"Runtime errors: {clip(_what_went_wrong(ran), SHOWN_TOKENS)}".strip()


def shown_strictly(ran: Ran, clip: Clip) -> str:
    """What the model sees of a run under `strict`: all that was printed, and how it ended if not well."""
    del clip
    failure = "" if ran.exit is Exit.OK else _what_went_wrong(ran)
    return _middle_out("\n".join(filter(None, [ran.stdout.strip(), failure])) or "(no output)", STRICT_CHARS)


def shown_by_tora(ran: Ran, clip: Clip) -> str:
    """What the model sees in the ToRA and Qwen2.5-Math harnesses: stdout, or the last line of the traceback."""
    del clip
    if ran.exit is Exit.OK:
        return _middle_out(ran.stdout.strip() or "Done", TORA_CHARS)
    return _middle_out(_what_went_wrong(ran).rpartition("\n")[2], TORA_CHARS)


def _middle_out(text: str, length: int = SHOWN_CHARS) -> str:
    half = length // 2
    return text if len(text) <= length else f"{text[:half]}...{text[-half:]}"


def _what_went_wrong(ran: Ran) -> str:
    match ran.exit:
        case Exit.OK:
            return ""
        case Exit.TIMEOUT:
            return "Timeout Error"
        case Exit.OUTPUT:
            return "Output Limit Error"  # the authors' code has no such limit
        case Exit.MEMORY:
            return traceback(ran.stderr) or "MemoryError"
        case _:
            return traceback(ran.stderr)


def last_traceback(stderr: str) -> str:
    """The last traceback of a program's standard error, or its syntax error, as the interpreter prints it."""
    if (start := stderr.rfind(_TRACEBACK)) < 0:
        start = max((found.start() for found in _SYNTAX_ERROR.finditer(stderr)), default=0)
    return stderr[start:].strip("\n")


def traceback(stderr: str) -> str:
    """The last traceback of a program's standard error, without paths and line numbers.

    Frames at module level are left out, frames of functions say where, frames of packages also in which file.
    """
    _, header, frames = stderr.rpartition(_TRACEBACK)
    if not header and (syntax_errors := list(_SYNTAX_ERROR.finditer(stderr))):
        frames = stderr[syntax_errors[-1].start() :]
    lines = []
    for line in frames.strip().split("\n"):
        if frame := _FRAME.search(line):
            indent, path, where = frame.group("indent", "path", "where")
            if "<module>" in where:
                continue
            package = re.search(r"site-packages.*", path)
            line = f'{indent}File "{package[0]}", {where}' if package else f"{indent}{where}"
        else:
            line = _SITE_PATH.sub(r"\1", line)
        lines.append(line)
    return _SUGGESTION.sub("", "\n".join(lines)).strip()
