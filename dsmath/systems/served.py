"""Closed systems of Table 5: whom to ask, by which name, and whether anybody still answers.

Most speak OpenAI's chat API, and get the question with our instruction as a user's message. The paper doesn't say how
they were asked: their figures are those of their own reports, or of others' (arXiv 2402.03300, Table 5).
"""

from dsmath.records import COT, TOOL
from dsmath.rollout import protocols
from dsmath.rollout.protocols import chain
from dsmath.rollout.ways import Way
from dsmath.systems.system import Served, System
from dsmath.text.template import FUNCTIONS, MESSAGES

OPENAI = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"

_CHAT = {
    COT: Way(MESSAGES, chain("messages", max_new=4096)),
    TOOL: Way(MESSAGES, protocols.find("strict")),
}
_HOSTED = {TOOL: Way(FUNCTIONS, protocols.find("hosted"))}
_PROMPT = "the prompt that the paper's figure was made with"
_ENDED = "OpenAI announced the end of these models for 2026-10-23 (not probed)"


def _chat(name: str, title: str, served: Served, *unconfirmed: str) -> System:
    return System(name, title, _CHAT, served=served, unconfirmed=(_PROMPT, *unconfirmed))


SYSTEMS = (
    _chat(
        "gpt-4",
        "GPT-4",
        Served(("gpt-4-0314", "gpt-4-0613", "gpt-4-1106-preview"), OPENAI, "chat", None, OPENAI_KEY, _ENDED),
        "which of the ids the paper's figure is of",
        "whether the shutdown of 2026-10-23 took place",
    ),
    _chat(
        "gpt-3.5",
        "GPT-3.5",
        Served(
            ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-0125"),
            OPENAI,
            "chat",
            None,
            OPENAI_KEY,
            _ENDED,
        ),
        "which of the ids the paper's figure is of",
        "whether the shutdown of 2026-10-23 took place",
    ),
    System(
        name="gpt-4-code-interpreter",
        title="GPT-4 Code Interpreter",
        ways=_HOSTED,
        served=Served(
            (),
            OPENAI,
            "responses",
            None,
            OPENAI_KEY,
            "it was to be had in ChatGPT, whose models of the time have ended",
        ),
        unconfirmed=(_PROMPT, "whether it was ever to be had but in ChatGPT", "that the tool of today runs alike"),
    ),
    _chat(
        "gemini-ultra",
        "Gemini Ultra",
        Served((), GOOGLE, "chat", None, "GEMINI_API_KEY", "no id of it is known, of the time or of today"),
        "whether it was ever offered over an API",
    ),
    _chat(
        "gemini-pro",
        "Gemini Pro",
        Served(
            ("gemini-pro", "gemini-1.0-pro", "gemini-1.0-pro-001", "gemini-1.0-pro-002"),
            GOOGLE,
            "chat",
            None,
            "GEMINI_API_KEY",
            "Google ended Gemini 1.0 in February 2025",
        ),
    ),
    _chat(
        "inflection-2",
        "Inflection-2",
        Served(
            (),
            "https://layercake.pubwestus3.inf7ks8.com/external/api/inference/openai/v1",
            "chat",
            None,
            "INFLECTION_API_KEY",
            "no id of it is known; inflection_3_pi and inflection_3_productivity came after it",
        ),
        "whether it was ever offered over an API",
        "whether its successors still answer (last seen 2026-07)",
    ),
    _chat(
        "grok-1",
        "Grok-1",
        Served(
            (),
            "https://api.x.ai/v1",
            "chat",
            None,
            "XAI_API_KEY",
            "no id of it is known; grok-beta and grok-2 came after it, grok-4 is asked today",
        ),
        "whether it was ever offered over an API",
    ),
    _chat(
        "baichuan-3",
        "Baichuan-3",
        Served(
            ("Baichuan3-Turbo", "Baichuan3-Turbo-128k"),
            "https://api.baichuan-ai.com/v1",
            "chat",
            "Baichuan3-Turbo",
            "BAICHUAN_API_KEY",
        ),
        "that Baichuan3-Turbo is the model of the paper's figure",
    ),
    _chat(
        "glm-4",
        "GLM-4",
        Served(("glm-4",), "https://open.bigmodel.cn/api/paas/v4", "chat", "glm-4", "ZHIPUAI_API_KEY"),
        "whether glm-4 still answers; documents of today use glm-5.1",
    ),
)
