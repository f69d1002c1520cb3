"""Systems that are asked in Alpaca's form: WizardMath, MetaMath, Math-Shepherd, MAmmoTH.

None of them has a Chinese form: a Chinese question stands in the English frame as it is. Sources: the evaluation
scripts of WizardMath (github.com/nlpxucan/WizardLM) and MetaMath (github.com/meta-math/MetaMath); of MAmmoTH a fork of
its evaluation (github.com/seamoke/Human-Think-Language).

MAmmoTH writes a program that prints the answer. Where a response prints nothing or its program fails, the question is
asked again, for a chain of thought. The fork takes the answer of a response without a program from the response, and
asks again only if it finds none; it indents a program into a function.
"""

import dataclasses

from dsmath.config import Arch
from dsmath.records import COT, POT
from dsmath.rollout.protocols import Protocol, chain
from dsmath.rollout.ways import Way
from dsmath.systems.system import System, Weights
from dsmath.text.template import BEGIN, Template

INSTRUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n"
)
RESPONSE = "\n\n### Response:"
STEP_BY_STEP = " Let's think step by step."
LET_US_WRITE = " Let's write a program."
INSTRUCTIONS = {(lang, mode): LET_US_WRITE if mode == POT else "" for lang in ("en", "zh") for mode in (COT, POT)}

MISTRAL_7B = Arch(
    vocab_size=32_000,
    hidden_size=4096,
    intermediate_size=14_336,
    num_layers=32,
    num_heads=32,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=10_000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=32_768,
    window=4096,
)
MISTRAL_7B_PARAMETERS = 7_241_732_096
LLAMA_2_70B = Arch(
    vocab_size=32_000,
    hidden_size=8192,
    intermediate_size=28_672,
    num_layers=80,
    num_heads=64,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=10_000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=4096,
)
_NUMBERS = "the architecture, that of Llama-2-70B: its own config.json is unread"

_WIZARD_ENDS = ("Instruction:", "Instruction", "Response:", "Response")
_META_ENDS = ("Question:", "Question", "USER:", "USER", "ASSISTANT:", "ASSISTANT", *_WIZARD_ENDS)


def _template(name: str, *ends: str, behind: str = STEP_BY_STEP) -> Template:
    after = (f"{RESPONSE}{behind}",)
    return Template(name, (BEGIN,), (INSTRUCTION,), after, end=None, instructions=INSTRUCTIONS, ends=ends)


def _printing(text: str) -> str | None:
    """The program of a response that prints: all of it, as it is."""
    return text.strip() if "print(" in text else None


def _mammoth() -> Protocol:
    """1,024 tokens and 5 s per program, as the fork has it."""
    return dataclasses.replace(chain("mammoth", max_new=1024), timeout_s=5.0, whole=_printing)


_WIZARD = Way(_template("wizardmath", *_WIZARD_ENDS), chain("wizardmath", max_new=2048))
_META = Way(_template("metamath", *_META_ENDS), chain("metamath", max_new=2048))
_SHEPHERD = Way(_template("math-shepherd", *_META_ENDS), chain("math-shepherd", max_new=2048))
_MAMMOTH = Way(_template("mammoth", *_META_ENDS, behind=""), _mammoth())

SYSTEMS = (
    System(
        name="wizardmath-7b-v1.1",
        title="WizardMath-v1.1",
        ways={COT: _WIZARD},
        weights=Weights(
            "WizardLMTeam/WizardMath-7B-V1.1",
            "LICENSE file of the repository",
            "mistral",
            MISTRAL_7B,
            MISTRAL_7B_PARAMETERS,
        ),
    ),
    System(
        name="wizardmath-70b-v1.0",
        title="WizardMath-v1.0",
        ways={COT: _WIZARD},
        weights=Weights("WizardLMTeam/WizardMath-70B-V1.0", "Llama 2", "llama", LLAMA_2_70B, None),
        unconfirmed=(_NUMBERS, "whether the vocabulary has one or two tokens more"),
    ),
    System(
        name="metamath-70b",
        title="MetaMath",
        ways={COT: _META},
        of_suites={("gsm8k", COT): dataclasses.replace(_META, protocol=chain("metamath", max_new=512))},
        weights=Weights("meta-math/MetaMath-70B-V1.0", "Llama 2", "llama", LLAMA_2_70B, None),
        unconfirmed=(_NUMBERS,),
    ),
    System(
        name="math-shepherd-mistral-7b",
        title="Math-Shepherd-Mistral",
        ways={COT: _SHEPHERD},
        weights=Weights(
            "peiyi9979/math-shepherd-mistral-7b-rl", "none on its card", "llama",
            dataclasses.replace(MISTRAL_7B, window=None), MISTRAL_7B_PARAMETERS,
        ),
        unconfirmed=(
            "the prompt, which is that of MetaMath, on whose data it was trained",
            "the architecture, which is Mistral's by the size of its files; no window, as its type is llama",
        ),
    ),
    System(
        name="mammoth-70b",
        title="MAmmoTH",
        ways={COT: _MAMMOTH, POT: dataclasses.replace(_MAMMOTH, otherwise=_MAMMOTH.template)},
        weights=Weights(
            "TIGER-Lab/MAmmoTH-70B", "MIT on its card (base: Llama 2)", "llama",
            dataclasses.replace(LLAMA_2_70B, vocab_size=32_001), None,
        ),
        unconfirmed=(_NUMBERS, "stops, lengths and times, which are a fork's of its evaluation"),
    ),
)  # fmt: skip
