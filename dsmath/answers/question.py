"""What a question says about the form of its answer, and what an answer may mean."""

import re

_SEVERAL = re.compile(r"separated by (?:a )?comma", re.IGNORECASE)
_ONE_OF = re.compile(r"not both|only one of", re.IGNORECASE)


def wants_several(question: str) -> bool:
    """Whether the question asks for a list of answers."""
    return _SEVERAL.search(question) is not None


def wants_one_of_several(question: str) -> bool:
    """Whether any one of the gold answers is right."""
    return _ONE_OF.search(question) is not None


def readings(answer: str) -> tuple[str, ...]:
    r"""What an answer can mean: a percent sign behind the box is a unit, which may count or not."""
    if answer.startswith(r"\boxed{") and answer.endswith(r"}\%"):
        content = answer[len(r"\boxed{") : -len(r"}\%")]
        return content, content + r"\%"
    return (answer,)
