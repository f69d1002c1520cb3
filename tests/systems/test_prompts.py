"""Prompts and conversations to the byte, as written text in which special tokens stand by name and "^" begins.

Written out by hand after what the systems' authors published, not computed from the records.
"""

import gguf
import pytest
import transformers

from dsmath.model import smollm2
from dsmath.records import Source
from dsmath.systems import roster
from dsmath.text import tokenizer
from dsmath.text.template import BEGIN, EXAMPLES, Special, written

EN, ZH = "How many?", "一共多少个？"

ALPACA = (
    "^Below is an instruction that describes a task. Write a response that appropriately completes the request.\n"
    "\n"
    "### Instruction:\n"
    "{}\n"
    "\n"
    "### Response:"
)
THINKING = f"{ALPACA} Let's think step by step."
CHATML = "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
SMOL = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
BOXED_EN = "Please reason step by step, and put your final answer within \\boxed{}."
BOXED_ZH = "请通过逐步推理来解答问题，并把最终答案放置于\\boxed{}中。"
PROGRAMS_EN = (
    "Please integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}."
)
PROGRAMS_ZH = "请结合自然语言和Python程序语言来解答问题，并把最终答案放置于\\boxed{}中。"
INTERNLM2 = "^<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
INTERNLM2_TOOL = (
    "^<|im_start|>system name=<|interpreter|>\n"
    "Integrate step-by-step reasoning and Python code to solve math problems using the following guidelines:\n"
    "- Analyze the question and write jupyter code to solve the problem;\n"
    "- Present the final result in LaTeX using a '\\boxed{}' without any units. \n"
    "<|im_end|>\n"
    "<|im_start|>user\n"
    "QUESTION<|im_end|>\n"
    "<|im_start|>assistant\n"
)
CHATGLM3_SYSTEM = (
    "[gMASK]sop<|system|>\n你是一位智能AI助手，你叫ChatGLM，你连接着一台电脑，但请注意不能联网。"
    "在使用Python解决任务时，你可以运行代码并得到结果，如果运行结果有错误，你需要尽可能对代码进行改进。"
    "你可以处理用户上传到电脑上的文件，文件默认存储路径是/mnt/data/。"
)
EXPERT = (
    "You are an expert programmer. Solve the above mathematical problem by writing a Python program. "
    "Express your answer as a numeric type or a SymPy object."
)

DEEPSEEK = {
    ("gsm8k", "en", "cot"): f"^User: {EN}\n{BOXED_EN}\n\nAssistant:",
    ("cmath", "zh", "cot"): f"^User: {ZH}\n{BOXED_ZH}\n\nAssistant:",
    ("math", "en", "tool"): f"^User: {EN}\n{PROGRAMS_EN}\n\nAssistant:",
    ("mgsm_zh", "zh", "tool"): f"^User: {ZH}\n{PROGRAMS_ZH}\n\nAssistant:",
}
WIZARD = {("gsm8k", "en", "cot"): THINKING.format(EN), ("cmath", "zh", "cot"): THINKING.format(ZH)}

PROMPTS = {
    "deepseek-math-7b-instruct": DEEPSEEK,
    "deepseek-math-7b-rl": DEEPSEEK,
    "deepseek-llm-67b-chat": DEEPSEEK,
    "deepseek-math-7b-base": {
        ("gsm8k", "en", "cot"): f"^[EXAMPLES]\n\n\nQ: {EN}\nA:",
        ("svamp", "en", "cot"): f"^[EXAMPLES]\n\n\nQ: {EN}\nA:",
        ("math", "en", "cot"): f"^[EXAMPLES]\n\nProblem:\n{EN}\n\nSolution:",
        ("math500", "en", "cot"): f"^[EXAMPLES]\n\nProblem:\n{EN}\n\nSolution:",
        ("cmath", "zh", "cot"): f"^[EXAMPLES]\n\n\n问题：{ZH}\n答案：",
        ("mgsm_zh", "zh", "cot"): f"^[EXAMPLES]\n\n\n问题：{ZH}\n答案：",
        ("gsm8k", "en", "pot"): f"^[EXAMPLES]\n\n\n\n\n\nQ: {EN}\n\n# solution in Python:",
        ("cmath", "zh", "pot"): f"^[EXAMPLES]\n\n\n\n\n\nQ: {ZH}\n\n# solution in Python:",
        ("math", "en", "pot"): f"^[EXAMPLES]\n\nProblem:\n{EN}\n\n{EXPERT}",
    },
    "internlm2-math-20b": {
        ("gsm8k", "en", "cot"): INTERNLM2.format(EN),
        ("cmath", "zh", "cot"): INTERNLM2.format(ZH),
        ("math", "en", "tool"): INTERNLM2_TOOL.replace("QUESTION", EN),
        ("cmath", "zh", "tool"): INTERNLM2_TOOL.replace("QUESTION", ZH),
    },
    "chatglm3-6b": {
        ("gsm8k", "en", "cot"): f"[gMASK]sop<|user|>\n{EN}\n{BOXED_EN}<|assistant|>",
        ("cmath", "zh", "cot"): f"[gMASK]sop<|user|>\n{ZH}\n{BOXED_ZH}<|assistant|>",
        ("math", "en", "tool"): f"{CHATGLM3_SYSTEM}<|user|>\n{EN}\n{BOXED_EN}<|assistant|>",
        ("cmath", "zh", "tool"): f"{CHATGLM3_SYSTEM}<|user|>\n{ZH}\n{BOXED_ZH}<|assistant|>",
    },
    "qwen-72b": {
        ("gsm8k", "en", "cot"): f"^[EXAMPLES]\n\nQuestion: {EN}\nLet's think step by step\n",
        ("cmath", "zh", "cot"): f"^[EXAMPLES]\n\nQuestion: {ZH}\nLet's think step by step\n",
    },
    "qwen-72b-chat": {
        ("gsm8k", "en", "cot"): CHATML.format(system="You are a helpful assistant.", user=EN),
        ("cmath", "zh", "cot"): CHATML.format(system="You are a helpful assistant.", user=ZH),
    },
    "seallm-7b-v2": {
        ("gsm8k", "en", "cot"): f"^<|im_start|>user\n{EN}\n{BOXED_EN}</s><|im_start|>assistant\n",
        ("mgsm_zh", "zh", "cot"): f"^<|im_start|>user\n{ZH}\n{BOXED_ZH}</s><|im_start|>assistant\n",
    },
    "smollm2-135m-instruct": {
        ("gsm8k", "en", "cot"): CHATML.format(system=SMOL, user=f"{EN}\n{BOXED_EN}"),
        ("cmath", "zh", "cot"): CHATML.format(system=SMOL, user=f"{ZH}\n{BOXED_ZH}"),
        ("gsm8k", "en", "tool"): CHATML.format(system=SMOL, user=f"{EN}\n{PROGRAMS_EN}"),
        ("cmath", "zh", "tool"): CHATML.format(system=SMOL, user=f"{ZH}\n{PROGRAMS_ZH}"),
        ("gsm8k", "en", "pot"): CHATML.format(
            system=SMOL,
            user=f"{EN}\nPlease write a Python program that solves the problem above and prints the final answer.",
        ),
        ("cmath", "zh", "pot"): CHATML.format(
            system=SMOL, user=f"{ZH}\n请编写一个Python程序来解答上述问题，并打印最终答案。"
        ),
    },
    "wizardmath-7b-v1.1": WIZARD,
    "wizardmath-70b-v1.0": WIZARD,
    "metamath-70b": WIZARD,
    "math-shepherd-mistral-7b": WIZARD,
    "mammoth-70b": {
        ("gsm8k", "en", "cot"): ALPACA.format(EN),
        ("cmath", "zh", "cot"): ALPACA.format(ZH),
        ("gsm8k", "en", "pot"): ALPACA.format(f"{EN} Let's write a program."),
        ("cmath", "zh", "pot"): ALPACA.format(f"{ZH} Let's write a program."),
    },
    "tora-code-34b": {
        ("math", "en", "tool"): f"^<|user|>\n{EN}\n<|assistant|>\n",
        ("cmath", "zh", "tool"): f"^<|user|>\n{ZH}\n<|assistant|>\n",
    },
    "numinamath-7b-tir": {
        ("math", "en", "tool"): f"^### Problem: {EN}\n### Solution: ",
        ("cmath", "zh", "tool"): f"^### Problem: {ZH}\n### Solution: ",
    },
}
MARKS = {BEGIN: "^", EXAMPLES: "[EXAMPLES]"}
CASES = [(name, *case) for name, cases in PROMPTS.items() for case in cases]


def marked(parts) -> str:
    return written([MARKS.get(part, part) for part in parts])


def special(parts) -> list[str]:
    return [part.name for part in parts if isinstance(part, Special) and part.name.strip() and part not in MARKS]


@pytest.mark.parametrize(("name", "suite", "lang", "mode"), CASES)
def test_a_prompt_to_the_byte(name, suite, lang, mode):
    parts = roster.find(name).way(suite, mode).template.prompt({"en": EN, "zh": ZH}[lang], lang=lang, mode=mode)
    assert marked(parts) == PROMPTS[name][suite, lang, mode]


def test_every_system_with_weights_in_every_mode_and_language_is_among_them():
    wanted = {
        (name, lang, mode)
        for name, system in roster.SYSTEMS.items()
        if system.weights
        for mode in system.ways
        for lang in ("en", "zh")
    }
    assert {(name, lang, mode) for name, _, lang, mode in CASES} == wanted
    assert all(
        (suite, mode) in {(case[1], case[3]) for case in CASES if case[0] == name}
        for name in PROMPTS
        for suite, mode in roster.find(name).of_suites
        if (suite, mode) != ("math500", "pot")  # as on math
    )


@pytest.mark.parametrize(
    ("name", "mode", "names"),
    [
        ("chatglm3-6b", "cot", ["[gMASK]", "sop", "<|user|>", "<|assistant|>"]),
        ("chatglm3-6b", "tool", ["[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>"]),
        ("internlm2-math-20b", "cot", ["<|im_start|>", "<|im_end|>", "<|im_start|>"]),
        (
            *("internlm2-math-20b", "tool"),
            ["<|im_start|>", "<|interpreter|>", "<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>"],
        ),
        ("qwen-72b-chat", "cot", ["<|im_start|>", "<|im_end|>", "<|im_start|>", "<|im_end|>", "<|im_start|>"]),
        ("seallm-7b-v2", "cot", ["</s>"]),
        ("tora-code-34b", "tool", []),
    ],
)
def test_which_of_it_are_tokens(name, mode, names):
    parts = roster.find(name).way("gsm8k", mode).template.prompt("<|user|> </s>?", lang="en", mode=mode)
    assert special(parts) == names


STOPS = {  # what ends an answer besides the end of a sequence and of a turn; what has a program run
    "deepseek-math-7b-instruct": ((), ("```output",)),
    "internlm2-math-20b": ((), (Special("<|action_end|>"),)),
    "chatglm3-6b": ((Special("<|user|>"),), (Special("<|observation|>"),)),
    "tora-code-34b": (("---",), ("```output",)),
    "numinamath-7b-tir": ((), ("```output",)),
}
ENDS = {
    ("deepseek-math-7b-base", "gsm8k", "cot"): ("\nQ:",),
    ("deepseek-math-7b-base", "math", "cot"): ("\nProblem:",),
    ("deepseek-math-7b-base", "cmath", "cot"): ("\n问题：",),
    ("deepseek-math-7b-base", "gsm8k", "pot"): ("\nQ:", "Q: "),
    ("deepseek-math-7b-base", "math", "pot"): ("\nProblem:", "Problem:"),
    ("qwen-72b", "gsm8k", "cot"): ("\n\n", "Question:"),
    ("qwen-72b-chat", "gsm8k", "cot"): (Special("<|im_start|>"),),
    ("seallm-7b-v2", "gsm8k", "cot"): ("<|im_start|>",),
    ("chatglm3-6b", "gsm8k", "cot"): (Special("<|user|>"), Special("<|observation|>")),
    ("wizardmath-70b-v1.0", "gsm8k", "cot"): ("Instruction:", "Instruction", "Response:", "Response"),
    ("metamath-70b", "math", "cot"): (
        *("Question:", "Question", "USER:", "USER", "ASSISTANT:", "ASSISTANT"),
        *("Instruction:", "Instruction", "Response:", "Response"),
    ),
}


@pytest.mark.parametrize("name", STOPS)
def test_what_stops_a_turn_with_programs(name):
    template = roster.find(name).way("math", "tool").template
    assert (template.ends, template.stops) == STOPS[name]


@pytest.mark.parametrize(("name", "suite", "mode"), ENDS)
def test_what_ends_an_answer(name, suite, mode):
    assert roster.find(name).way(suite, mode).template.ends == ENDS[name, suite, mode]


@pytest.mark.parametrize(
    ("name", "end"),
    [("internlm2-math-20b", "<|im_end|>"), ("qwen-72b-chat", "<|im_end|>"), ("smollm2-135m-instruct", "<|im_end|>")],
)
def test_what_ends_a_turn(name, end):
    assert roster.find(name).way("gsm8k", "cot").template.end == end


@pytest.mark.parametrize(
    ("name", "suite", "mode", "budget"),
    [
        ("deepseek-math-7b-instruct", "math", "tool", (2, 1024, 10.0)),
        ("deepseek-math-7b-base", "math", "pot", (1, 1024, 10.0)),
        ("internlm2-math-20b", "math", "tool", (5, 512, 30.0)),
        ("chatglm3-6b", "math", "tool", (5, 1024, 30.0)),
        ("tora-code-34b", "math", "tool", (4, 1024, 5.0)),
        ("numinamath-7b-tir", "math", "tool", (4, 2048, 5.0)),
        ("mammoth-70b", "math", "pot", (1, 1024, 5.0)),
        ("wizardmath-7b-v1.1", "math", "cot", (1, 2048, 10.0)),
        ("metamath-70b", "math", "cot", (1, 2048, 10.0)),
        ("metamath-70b", "gsm8k", "cot", (1, 512, 10.0)),
    ],
)
def test_turns_tokens_and_seconds(name, suite, mode, budget):
    protocol = roster.find(name).way(suite, mode).protocol
    assert (protocol.rounds, protocol.max_new, protocol.timeout_s) == budget


FENCE = "\n```output\n12\n```\n"
FRAMES = {  # what stands between a program of the model and what it writes next, where the output is 12
    "deepseek-math-7b-rl": FENCE,
    "deepseek-llm-67b-chat": FENCE,
    "smollm2-135m-instruct": FENCE,
    "tora-code-34b": FENCE,
    "numinamath-7b-tir": "\n```output\n12\n```",
    "internlm2-math-20b": (
        "<|action_end|>\n"
        "<|im_end|>\n"
        "<|im_start|>environment name=<|interpreter|>\n"
        "12<|im_end|>\n"
        "<|im_start|>assistant\n"
    ),
    "chatglm3-6b": "<|observation|>\n12<|assistant|>",
}


@pytest.mark.parametrize("name", FRAMES)
def test_what_an_output_stands_in_to_the_byte(name):
    shown = roster.find(name).way("math", "tool").template.output("12", asked=True)
    assert "".join(written(parts) for _, parts in shown) == FRAMES[name]
    (output,) = [written(parts) for source, parts in shown if source is Source.TOOL]
    assert output == "12"


def test_numinamath_alone_is_sampled():
    assert {name: s.temperature for name, s in roster.SYSTEMS.items() if s.temperature} == {"numinamath-7b-tir": 0.8}


def test_smollm2s_prompt_is_what_its_own_chat_template_makes(tmp_path):
    """The template that comes with the weights, rendered by `transformers`."""
    path = smollm2.fetch()
    theirs = gguf.GGUFReader(path).fields["tokenizer.chat_template"].contents()
    tokenizer.from_gguf(path).save(tmp_path)
    rendering = transformers.AutoTokenizer.from_pretrained(tmp_path)
    rendering.chat_template = theirs
    messages = [{"role": "user", "content": f"{EN}\n{BOXED_EN}"}]
    ours = PROMPTS["smollm2-135m-instruct"]["gsm8k", "en", "cot"]
    assert rendering.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == ours
