"""Chat models that call an interpreter by special tokens: InternLM2-Math 20B and ChatGLM3 6B.

Their interpreters are notebooks: names live on from call to call, those of a program that failed, too, and the value of
a last expression is shown. Here every call replays the earlier ones in silence (dsmath/sandbox). Of an error the model
sees Python's traceback, where a notebook prints its own. A call is what stands in the last fence of a turn: special
tokens are no part of its text.

InternLM2-Math (github.com/InternLM/InternLM-Math, agent/math_agent.py, with lagent's IPythonInteractiveManager): five
turns of 512 tokens, 30 s per call, the output whole. Its README asks for a chain of thought with the question alone.
ChatGLM3 (github.com/THUDM/ChatGLM3, composite_demo/demo_ci.py and PROMPT.md): five turns of 1,024 tokens, 30 s a call,
the output up to 1,024 characters; its tokenizer encodes every header and every text apart. Both scripts sample by
default, InternLM2's at temperature 0.1 with top_p 0.8 and top_k 40, ChatGLM3's at 0.1 with top_p 0.2 and a penalty on
repetition; here they are greedy, as the figures of the others are. InternLM2-Math has no Chinese form: a Chinese
question stands in the English frame. ChatGLM3's system turn is Chinese for both languages, as in its code.
"""

import re

from dsmath.config import Arch
from dsmath.records import COT, TOOL, Exit, Ran, Stop
from dsmath.rollout import programs
from dsmath.rollout.protocols import Call, Protocol, Turn, chain
from dsmath.rollout.ways import Way
from dsmath.systems.system import System, Weights
from dsmath.text.template import APART, AS_IT_IS, BEGIN, INSTRUCTIONS, Special, Template

INTERNLM2_20B = Arch(
    vocab_size=92_544,
    hidden_size=6144,
    intermediate_size=16_384,
    num_layers=48,
    num_heads=48,
    num_kv_heads=8,
    head_dim=128,
    rope_theta=1_000_000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=8192,
)
CHATGLM3_6B = Arch(
    vocab_size=65_024,
    hidden_size=4096,
    intermediate_size=13_696,
    num_layers=28,
    num_heads=32,
    num_kv_heads=2,
    head_dim=128,
    rope_theta=10_000.0,
    norm_eps=1e-5,
    tie_embeddings=False,
    max_positions=8192,
    qkv_bias=True,
    rope_dims=64,
)

CALL_S = 30.0
CHATGLM_CHARS = 1024
_BLOCK = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)  # a fence of any name


def _calls(turn: Turn) -> bool:
    """Whether a turn ended by the token that calls, with something to run."""
    return turn.stop is Stop.TEXT and _BLOCK.search(turn.generation) is not None


def _in_notebook(turn: Turn) -> Call:
    """The program of a turn, behind all earlier ones that came to an end of their own."""
    earlier = tuple(code for code, ran in turn.ran if ran.exit in (Exit.OK, Exit.ERROR))
    return Call(_BLOCK.findall(turn.generation)[-1].strip("\n"), replay=earlier, value=True)


def _failure(ran: Ran) -> str:
    if ran.exit is Exit.OUTPUT:
        return "Output Limit Error"  # neither has one, but the sandbox
    return programs.last_traceback(ran.stderr) or "MemoryError"


def _shown_by_internlm2(ran: Ran, clip: programs.Clip) -> str:
    """All that was printed, and the traceback behind it."""
    del clip
    if ran.exit is Exit.TIMEOUT:
        return "The code interpreter encountered a timeout error."
    printed = "" if ran.exit is Exit.OUTPUT else ran.stdout.strip()
    return "\n".join(filter(None, [printed, "" if ran.exit is Exit.OK else _failure(ran)]))


def _shown_by_chatglm3(ran: Ran, clip: programs.Clip) -> str:
    """What was printed, cut behind 1,024 characters, or the traceback."""
    del clip
    if ran.exit is Exit.TIMEOUT:
        return "Timed out"
    text = ran.stdout.strip() if ran.exit is Exit.OK else _failure(ran)
    return text if len(text) <= CHATGLM_CHARS or ran.exit is not Exit.OK else f"{text[:CHATGLM_CHARS]} [TRUNCATED]"


def _notebook(name: str, max_new: int, shown) -> Protocol:
    return Protocol(
        name=name,
        rounds=5,
        max_new=max_new,
        timeout_s=CALL_S,
        goes_on=_calls,
        program=_in_notebook,
        refused=None,
        shown=shown,
        grader="reference",
    )


IM_START, IM_END = Special("<|im_start|>"), Special("<|im_end|>")
INTERPRETER, ACTION_END = Special("<|interpreter|>"), Special("<|action_end|>")
GUIDELINES = (
    "Integrate step-by-step reasoning and Python code to solve math problems using the following guidelines:\n"
    "- Analyze the question and write jupyter code to solve the problem;\n"
    "- Present the final result in LaTeX using a '\\boxed{}' without any units. \n"
)
_INTERNLM2_USER = (IM_START, "user\n")
_INTERNLM2_ASSISTANT = (IM_END, "\n", IM_START, "assistant\n")

_INTERNLM2 = Template(
    "internlm2-math",
    (BEGIN,),
    _INTERNLM2_USER,
    _INTERNLM2_ASSISTANT,
    end=IM_END.name,
    instructions=AS_IT_IS,
    ends=(ACTION_END,),
)
_INTERNLM2_TOOL = Template(
    "internlm2-math-interpreter",
    (BEGIN, IM_START, "system name=", INTERPRETER, f"\n{GUIDELINES}", IM_END, "\n"),
    _INTERNLM2_USER,
    _INTERNLM2_ASSISTANT,
    end=IM_END.name,
    instructions=AS_IT_IS,
    stops=(ACTION_END,),
    asks=(ACTION_END,),
    output_before=(APART, "\n", IM_END, "\n", IM_START, "environment name=", INTERPRETER, "\n"),
    output_after=_INTERNLM2_ASSISTANT,
)

USER, ASSISTANT, OBSERVATION = Special("<|user|>"), Special("<|assistant|>"), Special("<|observation|>")
ASSISTANT_WITH_COMPUTER = (
    "你是一位智能AI助手，你叫ChatGLM，你连接着一台电脑，但请注意不能联网。"
    "在使用Python解决任务时，你可以运行代码并得到结果，如果运行结果有错误，你需要尽可能对代码进行改进。"
    "你可以处理用户上传到电脑上的文件，文件默认存储路径是/mnt/data/。"
)
_CHATGLM3_BEGIN = (Special("[gMASK]"), Special("sop"))
_CHATGLM3_USER = (USER, "\n", APART)

_CHATGLM3 = Template(
    "chatglm3",
    _CHATGLM3_BEGIN,
    _CHATGLM3_USER,
    (ASSISTANT,),
    end=None,
    ends=(USER, OBSERVATION),
)
_CHATGLM3_TOOL = Template(
    "chatglm3-interpreter",
    (*_CHATGLM3_BEGIN, Special("<|system|>"), "\n", APART, ASSISTANT_WITH_COMPUTER),
    _CHATGLM3_USER,
    (ASSISTANT,),
    end=None,
    instructions=INSTRUCTIONS | {("en", TOOL): INSTRUCTIONS["en", COT], ("zh", TOOL): INSTRUCTIONS["zh", COT]},
    ends=(USER,),
    stops=(OBSERVATION,),
    asks=(OBSERVATION,),
    output_before=(APART, "\n", APART),
    output_after=(ASSISTANT,),
)

SYSTEMS = (
    System(
        name="internlm2-math-20b",
        title="InternLM2-Math",
        ways={
            COT: Way(_INTERNLM2, chain("internlm2-math", max_new=1024)),
            TOOL: Way(_INTERNLM2_TOOL, _notebook("internlm2-math-interpreter", 512, _shown_by_internlm2)),
        },
        weights=Weights("internlm/internlm2-math-20b", "other (code: Apache-2.0)", "internlm2", INTERNLM2_20B, None),
        unconfirmed=(
            "the chain of thought, for which its README has the question alone and OpenCompass four examples",
            "whether its figures with programs were sampled at temperature 0.1, the default of its script",
        ),
    ),
    System(
        name="chatglm3-6b",
        title="ChatGLM3",
        ways={
            COT: Way(_CHATGLM3, chain("chatglm3", max_new=1024)),
            TOOL: Way(_CHATGLM3_TOOL, _notebook("chatglm3-interpreter", 1024, _shown_by_chatglm3)),
        },
        weights=Weights("THUDM/chatglm3-6b", "ChatGLM3-6B License", "chatglm", CHATGLM3_6B, 6_243_584_000),
        unconfirmed=(
            "the instruction behind a question, DeepSeekMath's here; its README has figures of the base model alone",
            "whether an output stands in a fence named result: in its PROMPT.md, not in its code",
        ),
    ),
)
