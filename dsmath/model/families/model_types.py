"""Which layout a checkpoint has, by the model_type of its config.json; which one an architecture is written in."""

from pathlib import Path

from dsmath.config import Arch
from dsmath.error import UserError
from dsmath.model.families.chatglm import CHATGLM
from dsmath.model.families.fields import Config, Family
from dsmath.model.families.glm import GLM
from dsmath.model.families.internlm2 import INTERNLM2
from dsmath.model.families.llama import LLAMA, MISTRAL, QWEN2
from dsmath.model.families.qwen import QWEN

FAMILIES = {family.model_type: family for family in (LLAMA, MISTRAL, QWEN, QWEN2, CHATGLM, INTERNLM2, GLM)} | {
    "internlm": INTERNLM2
}


def find(config: Config, path: Path) -> Family:
    """The family of a config.json. Raises UserError for one that isn't here."""
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise UserError(f"{path}: model_type is {kind!r}; expected one of {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def suiting(arch: Arch) -> Family:
    """The family that an architecture of no checkpoint is written as: the plainest that has all of it."""
    if arch.rope_dims is not None:
        return GLM
    if arch.qkv_bias:
        return QWEN2
    return LLAMA if arch.window is None else MISTRAL
