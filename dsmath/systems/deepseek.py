"""DeepSeek's: DeepSeekMath 7B, base, Instruct and RL, and DeepSeek-LLM 67B Chat.

Those that chat are asked as their authors' evaluation code asks DeepSeekMath-Instruct (github.com/deepseek-ai/
DeepSeek-Math), which is the template and the protocol `reference`. The base model gets the few-shot layouts of the same
code, each with the texts that stop it there; the examples themselves are others' sentences, and a user brings them
(dsmath/systems/fewshot.py).
"""

import dataclasses

from dsmath import config, recipes
from dsmath.config import Arch
from dsmath.records import COT, POT, TOOL
from dsmath.rollout import programs
from dsmath.rollout.protocols import PROTOCOLS, Protocol, chain
from dsmath.rollout.ways import Way
from dsmath.systems.system import System, Weights
from dsmath.text import template as templates
from dsmath.text.template import AS_IT_IS, BEGIN, EXAMPLES, Template

LICENSE = "DeepSeek Model License 1.0"

MATH_7B = config.parse(Arch, recipes.deepseek_math_7b().to_dict())
MATH_7B_PARAMETERS = 6_910_365_696
LLM_67B = dataclasses.replace(MATH_7B, hidden_size=8192, intermediate_size=22_016, num_layers=95, num_heads=64,
                              num_kv_heads=8)  # fmt: skip

_CHAT = Way(templates.find("reference"), PROTOCOLS["reference"])

_EXPERT = (
    "\n\nYou are an expert programmer. Solve the above mathematical problem by writing a Python program. "
    "Express your answer as a numeric type or a SymPy object."
)


def _few_shot(name: str, before: str, after: str, *ends: str) -> Template:
    """A layout of examples in which a question comes last, as it is."""
    name = f"deepseekmath-base-{name}"
    return Template(name, (BEGIN, EXAMPLES), (before,), (after,), end=None, instructions=AS_IT_IS, ends=ends)


def _of_function(text: str) -> str:
    """The program of a response that defines `solution`, whose value is the answer."""
    return f"{programs.without_comments(text)}\nprint(solution())"


def _of_variable(text: str) -> str | None:
    """The program of a response in two fences, its imports in the second one; the answer is the variable `answer`."""
    fences = text.split(programs.FENCE)
    return programs.without_comments(f"{fences[3]}\n\n{fences[1]}") + "\nprint(answer)" if len(fences) == 5 else None


def _programs(name: str, whole) -> Protocol:
    return dataclasses.replace(PROTOCOLS["reference"], name=name, rounds=1, whole=whole)


_COT = chain("deepseekmath-base", max_new=1024)
_PROOFS = Way(_few_shot("math", "\n\nProblem:\n", "\n\nSolution:", "\nProblem:"), _COT)
_CHINESE = Way(_few_shot("cmath", "\n\n\n问题：", "\n答案：", "\n问题："), _COT)
_EXPRESSIONS = Way(
    _few_shot("math-pal", "\n\nProblem:\n", _EXPERT, "\nProblem:", "Problem:"),
    _programs("deepseekmath-base-answer", _of_variable),
)

SYSTEMS = (
    System(
        name="deepseek-math-7b-instruct",
        title="DeepSeekMath-Instruct",
        ways={COT: _CHAT, TOOL: _CHAT},
        weights=Weights("deepseek-ai/deepseek-math-7b-instruct", LICENSE, "llama", MATH_7B, MATH_7B_PARAMETERS),
    ),
    System(
        name="deepseek-math-7b-rl",
        title="DeepSeekMath-RL",
        ways={COT: _CHAT, TOOL: _CHAT},
        weights=Weights("deepseek-ai/deepseek-math-7b-rl", LICENSE, "llama", MATH_7B, MATH_7B_PARAMETERS),
    ),
    System(
        name="deepseek-math-7b-base",
        title="DeepSeekMath-Base",
        ways={
            COT: Way(_few_shot("gsm8k", "\n\n\nQ: ", "\nA:", "\nQ:"), _COT),
            POT: Way(
                _few_shot("gsm8k-pal", "\n\n\n\n\n\nQ: ", "\n\n# solution in Python:", "\nQ:", "Q: "),
                _programs("deepseekmath-base-solution", _of_function),
            ),
        },
        of_suites={
            **{(suite, COT): _PROOFS for suite in ("math", "math500")},
            **{(suite, COT): _CHINESE for suite in ("cmath", "mgsm_zh")},
            **{(suite, POT): _EXPRESSIONS for suite in ("math", "math500")},
        },
        weights=Weights("deepseek-ai/deepseek-math-7b-base", LICENSE, "llama", MATH_7B, MATH_7B_PARAMETERS),
        unconfirmed=("MGSM-zh, in the layout of CMATH", "Chinese programs, in the layout of GSM8K"),
    ),
    System(
        name="deepseek-llm-67b-chat",
        title="DeepSeek-LLM-Chat",
        ways={COT: _CHAT, TOOL: _CHAT},
        weights=Weights("deepseek-ai/deepseek-llm-67b-chat", LICENSE, "llama", LLM_67B, None),
        unconfirmed=("the instructions behind a question, taken from DeepSeekMath-Instruct",),
    ),
)
