"""A process of its own that renders a chat template, which is a program that came with somebody's weights.

Reads a job as JSON from stdin, writes what was rendered, a string or {"error": ...} for each conversation, to stdout.
The template sees what `transformers` 5.24 shows it (utils/chat_template_utils.py), in jinja2's immutable sandbox. What
that doesn't stop, loops without an end and strings without measure, ends with the process, at the limits below; an
honest template takes milliseconds. Imports nothing of dsmath.
"""

import contextlib
import datetime
import json
import sys

CPU_S = 2
MEMORY_BYTES = 512 << 20  # of addresses: Python and jinja2 take a fifth
LONGEST = 200_000  # characters of a rendered conversation
LONGEST_ERROR = 200  # of what is said of one that can't be rendered

# What templates take for today, so that a prompt is the same tomorrow: what Llama 3.1's template falls back on.
TODAY = datetime.datetime(2024, 7, 26)


def _limit() -> None:
    import resource  # not on every platform, as are some of the limits

    limits = {
        resource.RLIMIT_CPU: CPU_S,
        resource.RLIMIT_AS: MEMORY_BYTES,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _environment():
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox
    import jinja2.utils

    class Generation(jinja2.ext.Extension):
        """The tag around what a model wrote, which is rendered as it stands."""

        tags = {"generation"}  # noqa: RUF012 - jinja2's interface

        def parse(self, parser):
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class Namespace(jinja2.utils.Namespace):
        """Without names that lead to Python's own."""

        def __init__(*args, **kwargs):
            self, *rest = args
            for name in (given := dict(*rest, **kwargs)):
                _refuse_private(name)
            jinja2.utils.Namespace.__init__(self, given)

        def __setitem__(self, name, value):
            _refuse_private(name)
            super().__setitem__(name, value)

    def _refuse_private(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(f"a namespace takes no name like {name!r}")

    class Dictionary:
        def __call__(self, *args, **kwargs):
            return dict(*args, **kwargs)

        def fromkeys(self, *args):
            return dict.fromkeys(*args)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals |= {
        "raise_exception": raise_exception,
        "strftime_now": TODAY.strftime,
        "dict": Dictionary(),
        "namespace": Namespace,
    }
    return made


def _render(template, conversation, variables) -> str | dict[str, str]:
    text = ""
    try:
        for part in template.generate(tools=None, documents=None, **conversation, **variables):
            text += part
            if len(text) > LONGEST:
                return {"error": f"more than {LONGEST} characters"}
    except Exception as e:  # noqa: BLE001 - whatever the program of somebody else raises
        return _error(e)
    return text


def _error(e: Exception) -> dict[str, str]:
    """What went wrong, short and without signs that a terminal obeys."""
    return {"error": f"{type(e).__name__}: {ascii(' '.join(str(e)[:LONGEST_ERROR].split()))[1:-1]}"}


def main() -> None:
    """Render the conversations of the job."""
    job = json.load(sys.stdin)
    environment = _environment()
    _limit()
    try:
        template = environment.from_string(job["template"])
    except Exception as e:  # noqa: BLE001
        rendered: list[str | dict[str, str]] = [_error(e)] * len(job["conversations"])
    else:
        rendered = [_render(template, one, job["variables"]) for one in job["conversations"]]
    json.dump(rendered, sys.stdout)


if __name__ == "__main__":
    main()
