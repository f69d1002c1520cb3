"""General models that chat, and the base of one: Qwen 72B, SeaLLM 7B v2, SmolLM2 135M.

Where nobody has published how a chat model was asked mathematics (SeaLLM), it is asked with the instruction of the
DeepSeekMath authors' evaluation, which has a Chinese one, too. Qwen's own scripts (github.com/QwenLM/Qwen, eval/) ask
the chat model the question as it is, and the base behind eight examples; a Chinese question stands in the same frame.
"""

import dataclasses

from dsmath import config, recipes
from dsmath.config import Arch
from dsmath.records import COT, POT, TOOL
from dsmath.rollout.protocols import PROTOCOLS, chain
from dsmath.rollout.ways import Way
from dsmath.systems import alpaca
from dsmath.systems.system import System, Weights
from dsmath.text import template as templates
from dsmath.text.template import APART, AS_IT_IS, BEGIN, EXAMPLES, Special, Template

IM_START, IM_END = Special("<|im_start|>"), Special("<|im_end|>")

QWEN_72B = Arch(
    vocab_size=152_064,
    hidden_size=8192,
    intermediate_size=24_576,  # half of what its config.json says, which counts gate and up
    num_layers=80,
    num_heads=64,
    num_kv_heads=64,
    head_dim=128,
    rope_theta=1_000_000.0,
    norm_eps=1e-6,
    tie_embeddings=False,
    max_positions=32_768,
    qkv_bias=True,
)
SMOLLM2_135M = config.parse(Arch, recipes.smollm2_135m().to_dict())

_QWEN = Template(
    "qwen-72b",
    (BEGIN, EXAMPLES),
    ("\n\nQuestion: ",),
    ("\nLet's think step by step\n",),
    end=None,
    instructions=AS_IT_IS,
    ends=("\n\n", "Question:"),
)
_QWEN_CHAT = Template(
    "qwen-72b-chat",
    (IM_START, "system\nYou are a helpful assistant.", IM_END, "\n"),
    (IM_START, "user\n"),
    (IM_END, "\n", IM_START, "assistant\n"),
    end="<|im_end|>",
    instructions=AS_IT_IS,
    ends=(IM_START,),
)
# `<|im_start|>` is text to its tokenizer, and a turn ends with the end of a sequence; no line ends behind that. On its
# card the tokens behind it are those of a text that begins, with a space.
_SEALLM = Template(
    "seallm-7b-v2",
    (BEGIN,),
    ("<|im_start|>user\n",),
    (Special("</s>"), APART, "<|im_start|>assistant\n"),
    end="</s>",
    ends=("<|im_start|>",),
)
_SMOLLM2 = Way(templates.find("chatml"), PROTOCOLS["reference"])

SYSTEMS = (
    System(
        name="qwen-72b",
        title="Qwen",
        ways={COT: Way(_QWEN, chain("qwen-72b", max_new=512))},
        weights=Weights("Qwen/Qwen-72B", "Tongyi Qianwen License Agreement", "qwen", QWEN_72B, None),
        unconfirmed=(
            "how it is asked MATH: as GSM8K here",
            "the longest answer, 512 tokens here",
            "how its tokenizer cuts words and normalises: as Qwen2's here",
        ),
    ),
    System(
        name="qwen-72b-chat",
        title="Qwen-Chat",
        ways={COT: Way(_QWEN_CHAT, chain("qwen-72b-chat", max_new=2048))},
        weights=Weights("Qwen/Qwen-72B-Chat", "Tongyi Qianwen License Agreement", "qwen", QWEN_72B, None),
        unconfirmed=(
            "the architecture, that of the base",
            "how it is asked MATH: as GSM8K here",
            "the longest answer, 2,048 tokens here",
            "how its tokenizer cuts words and normalises: as Qwen2's here",
        ),
    ),
    System(
        name="seallm-7b-v2",
        title="SeaLLM-v2",
        ways={COT: Way(_SEALLM, chain("seallm-7b-v2", max_new=1024))},
        weights=Weights(
            "SeaLLMs/SeaLLM-7B-v2",
            "seallms (other)",
            "mistral",
            dataclasses.replace(alpaca.MISTRAL_7B, vocab_size=48_384),
            None,
        ),
        unconfirmed=(
            "the instruction behind a question, and the longest answer: DeepSeekMath's here",
            "the space behind </s>, which tokens on its card have, and its tokenizer's legacy=false has not",
        ),
    ),
    System(
        name="smollm2-135m-instruct",
        title="SmolLM2-Instruct",
        ways={COT: _SMOLLM2, TOOL: _SMOLLM2, POT: _SMOLLM2},
        weights=Weights("HuggingFaceTB/SmolLM2-135M-Instruct", "Apache-2.0", "llama", SMOLLM2_135M, 134_515_008),
        unconfirmed=("the instructions behind a question: DeepSeekMath's here",),
    ),
)
