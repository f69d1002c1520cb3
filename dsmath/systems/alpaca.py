"""Systems that are asked in Alpaca's form: WizardMath, MetaMath, Math-Shepherd, MAmmoTH."""

from dsmath.config import Arch
from dsmath.records import COT
from dsmath.rollout.protocols import chain
from dsmath.rollout.ways import Way
from dsmath.systems.system import System, Weights
from dsmath.text.template import BEGIN, Template

INSTRUCTION = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
    "\n\n### Instruction:\n"
)
RESPONSE = "\n\n### Response:"
STEP_BY_STEP = " Let's think step by step."
AS_IT_IS = {("en", COT): "", ("zh", COT): ""}

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


def _template(name: str, *ends: str) -> Template:
    after = (f"{RESPONSE}{STEP_BY_STEP}",)
    return Template(name, (BEGIN,), (INSTRUCTION,), after, end=None, instructions=AS_IT_IS, ends=ends)


_WIZARD = Way(
    _template("wizardmath", "Instruction:", "Instruction", "Response:", "Response"), chain("wizardmath", max_new=2048)
)

SYSTEMS = (
    System(
        name="wizardmath-7b-v1.1",
        title="WizardMath-v1.1",
        ways={COT: _WIZARD},
        weights=Weights(
            "WizardLMTeam/WizardMath-7B-V1.1", "LICENSE file of the repository", "mistral", MISTRAL_7B, 7_241_732_096
        ),
    ),
)
