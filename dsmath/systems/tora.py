"""ToRA-Code 34B, and NuminaMath 7B TIR, which was trained on solutions of the same form: prose, program, output.

ToRA (github.com/microsoft/ToRA) is asked in plain text, and its loop is the protocol `tora`. NuminaMath's loop is that
of its authors' solution of the AIMO competition (github.com/project-numina/aimo-progress-prize), without what samples
many answers there, drops some and votes: four generations of 2,048 tokens; the last program runs alone, behind three
imports, its last line printed unless it prints; 200 characters of its output are shown. Neither has a Chinese form: a
Chinese question stands in the English frame as it is.
"""

import re

from dsmath.config import Arch
from dsmath.records import TOOL, Exit, Ran, Stop
from dsmath.rollout import programs
from dsmath.rollout.protocols import PROTOCOLS, Call, Protocol, Turn
from dsmath.rollout.ways import Way
from dsmath.systems import deepseek
from dsmath.systems.system import System, Weights
from dsmath.text.template import AS_IT_IS, BEGIN, Template

CODE_LLAMA_34B = Arch(
    vocab_size=32_001,
    hidden_size=8192,
    intermediate_size=22_016,
    num_layers=48,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=1_000_000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=16_384,
)

NUMINA_S = 5  # per program
NUMINA_CHARS = 200
IMPORTS = "import math\nimport numpy as np\nimport sympy as sp\n"
_FRAME = 'File "<string>"'
_BLOCK = re.compile(r"```python(.*?)```", re.DOTALL)


def _asks(turn: Turn) -> bool:
    """Whether the model wants a program's output, and there is a program, be it an earlier one."""
    return turn.stop is Stop.TEXT and _BLOCK.search(turn.response) is not None


def _behind_imports(turn: Turn) -> Call:
    code = f"{IMPORTS}{_BLOCK.findall(turn.response)[-1]}".strip()
    before, line_end, last = code.rpartition("\n")
    if "print(" not in last:
        last = f"print({last.split('#')[0]})"
    return Call(f"{before}{line_end}{last}")


def _shown(ran: Ran, clip: programs.Clip) -> str:
    """The output, or where and why a program failed, cut behind 200 characters."""
    del clip
    if ran.exit is Exit.OK:
        text = ran.stdout.strip()
    elif ran.exit is Exit.TIMEOUT:
        text = f"Timed out after {NUMINA_S} seconds."
    else:
        text = _of_program(programs.last_traceback(ran.stderr)) or "MemoryError"
    return text if len(text) <= NUMINA_CHARS else f"{text[:NUMINA_CHARS]} ... (output truncated)"


def _of_program(traceback: str) -> str:
    """A traceback without the frames of libraries."""
    *lines, last = traceback.split("\n")
    kept = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if "Traceback" in line or _FRAME in line or (_FRAME in before and line.startswith("    "))
    ]
    return "\n".join([*kept, last])


_NUMINA = Protocol(
    name="numinamath",
    rounds=4,
    max_new=2048,
    timeout_s=float(NUMINA_S),
    goes_on=_asks,
    program=_behind_imports,
    refused=None,
    shown=_shown,
    grader="reference",
)

SYSTEMS = (
    System(
        name="tora-code-34b",
        title="ToRA",
        ways={
            TOOL: Way(
                Template(
                    "tora",
                    (BEGIN,),
                    ("<|user|>\n",),
                    ("\n<|assistant|>\n",),
                    end=None,
                    instructions=AS_IT_IS,
                    ends=("---",),
                ),
                PROTOCOLS["tora"],
            )
        },
        weights=Weights("llm-agents/tora-code-34b-v1.0", "Llama 2 (code: MIT)", "llama", CODE_LLAMA_34B, None),
        unconfirmed=(
            "what is shown of an output, in which its authors' code has changed: all of it up to 400 characters here, "
            "up to 100, or the last line up to 100, in other versions",
        ),
    ),
    System(
        name="numinamath-7b-tir",
        title="NuminaMath-TIR",
        ways={
            TOOL: Way(
                Template(
                    "numinamath",
                    (BEGIN,),
                    ("### Problem: ",),
                    ("\n### Solution: ",),
                    end=None,
                    instructions=AS_IT_IS,
                    output_after=("\n```",),
                ),
                _NUMINA,
            )
        },
        weights=Weights(
            "AI-MO/NuminaMath-7B-TIR", "Apache-2.0", "llama", deepseek.MATH_7B, deepseek.MATH_7B_PARAMETERS
        ),
        temperature=0.8,
    ),
)
