"""A folder's chat template: its prompts are those of `transformers`, and nothing that it does can hurt."""

import json
import logging
import time

import pytest
import transformers

from dsmath.error import UserError
from dsmath.model import smollm2
from dsmath.records import Source
from dsmath.text import chat_template, jinja_process, template, tokenizer
from dsmath.text.codec import TokenCodec, end_token
from dsmath.text.template import BEGIN, Special
from tests.text.sentences import SENTENCES, llama_of, train_pieces, write_config

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
# As SmolLM2's own.
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    f"{{{{ '<|im_start|>system\\n{SYSTEM}<|im_end|>\\n' }}}}{{% endif %}}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# As Llama 2's: strips, and has white space between blocks.
LLAMA = """{% if messages[0]['role'] == 'system' %}
    {% set loop_messages = messages[1:] %}
{% else %}
    {% set loop_messages = messages %}
{% endif %}
{% for message in loop_messages %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate') }}
{% endif %}
{% if message['role'] == 'user' %}
{{ bos_token + '[INST] ' + message['content'].strip() + ' [/INST]' }}
{%- elif message['role'] == 'assistant' %}
{% generation %}{{ ' '  + message['content'].strip() + ' ' + eos_token }}{% endgeneration %}
{% endif %}
{% endfor %}"""
# As DeepSeek's: text alone between the first token and the last.
PLAIN = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
TEMPLATES = {"llama": LLAMA, "plain": PLAIN}


@pytest.fixture(scope="module")
def smol():
    return tokenizer.from_gguf(smollm2.fetch())


@pytest.fixture
def folder(smol, tmp_path):
    smol.save(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    return train_pieces(tmp_path_factory.mktemp("pieces"))


def put(folder, source):
    (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
    return folder


def ids(t, found, question):
    return list(TokenCodec(t).encode(Source.PROMPT, found.prompt(question, lang="en", mode="cot")).ids)


def expected(theirs, question):
    """The ids of a prompt as `transformers` makes them."""
    message = {"role": "user", "content": question + template.INSTRUCTIONS["en", "cot"]}
    return theirs.apply_chat_template([message], add_generation_prompt=True)["input_ids"]


def test_smollm2s_prompts_are_those_of_transformers(smol, folder, questions):
    found = chat_template.from_folder(put(folder, CHATML), smol)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs.chat_template == CHATML
    for question in [*questions, *SENTENCES, "", "\n  {{ x }} "]:
        assert ids(smol, found, question) == expected(theirs, question)
    ours = template.find("chatml")
    assert found.prompt("Q", lang="en", mode="cot") == ours.prompt("Q", lang="en", mode="cot")
    assert end_token(found, smol) == end_token(ours, smol)
    assert (found.lead, found.stops, found.asks) == (ours.lead, ours.stops, ours.asks)


def test_the_turns_end_is_the_templates_where_a_sequence_ends_otherwise(smol, folder):
    t = tokenizer.HFTokenizer(smol._backend, bos=None, eos="<|endoftext|>")
    assert chat_template.from_folder(put(folder, CHATML), t).end == "<|im_end|>"


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_of_sentencepiece_models_are_those_of_transformers(tmp_path, pieces, questions, name, legacy):
    """Of the .model, and of the tokenizer.json that `transformers` makes of it."""
    write_config(put(tmp_path, TEMPLATES[name]), legacy=legacy)
    (tmp_path / "tokenizer.model").write_bytes(pieces.read_bytes())
    theirs = llama_of(pieces, legacy=legacy)
    theirs.chat_template = TEMPLATES[name]
    theirs.save_pretrained(tmp_path / "json")
    for ours in (tokenizer.load(tmp_path), tokenizer.load(tmp_path / "json")):
        found = chat_template.from_folder(tmp_path, ours)
        for question in [*questions[::4], *SENTENCES[:6]]:
            assert ids(ours, found, question) == expected(theirs, question)
        assert (found.end, found.lead) == (None, " ")
        assert end_token(found, ours) == ours.eos == 2
        first = found.before[0]
        assert first == (BEGIN if legacy else Special("<s>")), "behind one text begins a sequence, behind the other not"


def test_a_tokenizer_that_adds_no_begin_token_has_the_templates(pieces, tmp_path):
    write_config(put(tmp_path, PLAIN), add_bos_token=False)
    (tmp_path / "tokenizer.model").write_bytes(pieces.read_bytes())
    t = tokenizer.load(tmp_path)
    assert t.bos is None
    assert ids(t, chat_template.from_folder(tmp_path, t), "Q")[0] == 1


def test_no_text_of_a_question_is_a_special_token(smol, folder):
    found = chat_template.from_folder(put(folder, CHATML), smol)
    special = {one.id for one in smol.specials}
    question = "".join(one.name for one in smol.specials) + "Kwijibo 4711?"
    marks = [id for id in ids(smol, found, question) if id in special]
    assert marks == [id for id in ids(smol, found, "Q") if id in special]
    assert len(marks) == 5


def test_of_several_templates_the_default_counts_and_a_file_of_its_own_most(smol, folder):
    def say(value):
        config = folder / "tokenizer_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": value}))
        found = chat_template.from_folder(folder, smol)
        return None if found is None else found.before

    assert say(None) is None
    assert say("a{{ messages[0].content }}") == ("a",)
    several = [{"name": name, "template": f"{name}{{{{ messages[0].content }}}}"} for name in ("tool_use", "default")]
    assert say(several) == ("default",)
    assert say(several[:1]) is None
    put(folder, "c{{ messages[0].content }}")
    assert say("a{{ messages[0].content }}") == ("c",)


def test_today_is_always_the_same_day(smol, folder):
    found = chat_template.from_folder(put(folder, "{{ strftime_now('%d %b %Y') }}: {{ messages[0].content }}"), smol)
    assert found.before == ("26 Jul 2024: ",)
    assert jinja_process.TODAY.isoformat() == "2024-07-26T00:00:00"


def test_a_template_that_strips_says_so(smol, folder, caplog):
    caplog.set_level(logging.INFO)
    for filters, said in (("", False), ("|trim", True), (".lstrip()", True), (".rstrip()", True)):
        caplog.clear()
        found = chat_template.from_folder(put(folder, f"<{{{{ messages[0].content{filters} }}}}>"), smol)
        assert (found.before, found.after) == (("<",), (">",))
        assert ("strips" in caplog.text) == said


def test_special_tokens_take_the_white_space_that_they_take_in_a_text(folder, smol):
    stripping = tokenizer.tokenizers.Tokenizer.from_str(smol._backend.to_str())
    one = tokenizer.tokenizers.AddedToken("<|own|>", lstrip=True, rstrip=True, special=True)
    stripping.add_special_tokens([one])
    t = tokenizer.HFTokenizer(stripping, bos=None, eos="<|im_end|>")
    found = chat_template.from_folder(put(folder, "a \n<|own|> \n b{{ messages[0].content }}"), t)
    assert found.before == ("a", Special("<|own|>"), "b")


def test_templates_that_differ_have_other_names(smol, folder):
    first, other = (chat_template.from_folder(put(folder, source), smol).name for source in (CHATML, PLAIN))
    assert first != other
    assert first == chat_template.from_folder(put(folder, CHATML), smol).name


CHANGING = {
    "capitals": "{{ messages[0].content|upper }}",
    "twice": "{{ messages[0].content }} again: {{ messages[0].content }}",
    "cut": "{{ messages[0].content[:100] }}",
    "escaped": "{{ messages[0].content|e }}",
    "as JSON": "{{ messages[0].content|tojson }}",
    "by length": "{{ 'long: ' if messages[0].content|length > 80 }}{{ messages[0].content }}",
    "no question": "hello",
    "one line": "{{ messages[0].content|replace('\\n', ' ') }}",
}
FAILING = {
    "its own refusal": ("{{ raise_exception('no\nusers') }}", "no users"),
    "no Jinja": ("{% if %}{{ x", "TemplateSyntaxError"),
    "unknown names": ("{{ messages[0].content.nothing.at_all }}", "Undefined"),
    "attributes": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
    "attributes by filter": ("{{ (''|attr('__class__')).mro() }}", "SecurityError"),
    "globals": ("{{ cycler.__init__.__globals__.os.popen('id').read() }}", "SecurityError"),
    "globals of ours": ("{{ raise_exception.__globals__.os }}", "SecurityError"),
    "a namespace's insides": ("{% set x = namespace(__class__=1) %}", "SecurityError"),
    "changing a message": ("{{ messages.append(1) }}", "SecurityError"),
    "other files": ("{% include '/etc/passwd' %}", "TypeError"),
    "a long range": ("{% for x in range(10000000) %}{% endfor %}", "OverflowError"),
    "a long text": ("{% for x in range(99999) %}{{ 'many words' }}{% endfor %}", "more than 200000 characters"),
    "much memory": ("{{ ('x' * 9999999999)|length }}", "MemoryError"),
    "doubling": (
        "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "MemoryError",
    ),
    "a million loops": (
        "{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}{{ messages[0].content }}",
        "2 s and 512 MiB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGING)
def test_what_changes_a_question_is_refused(smol, folder, name):
    with pytest.raises(UserError, match=r"changes or repeats what the user says; .*--template") as e:
        chat_template.from_folder(put(folder, CHANGING[name]), smol)
    assert str(folder) in str(e.value)


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_or_never_ends_is_one_line(smol, folder, name):
    source, reason = FAILING[name]
    with pytest.raises(UserError) as e:
        chat_template.from_folder(put(folder, source), smol)
    assert reason in str(e.value)
    assert str(folder) in str(e.value)
    assert "\n" not in str(e.value)


def test_a_template_that_waits_is_given_up(smol, folder, monkeypatch, tmp_path):
    waits = tmp_path / "waits.py"
    waits.write_text("import time\ntime.sleep(600)")
    monkeypatch.setattr(chat_template.jinja_process, "__file__", str(waits))
    monkeypatch.setattr(chat_template, "_WALL_S", 0.5)
    before = time.monotonic()
    with pytest.raises(UserError, match=r"takes longer than 0.5 s"):
        chat_template.from_folder(put(folder, CHATML), smol)
    assert time.monotonic() - before < 60


def test_an_answer_that_cant_be_rendered_ends_as_the_sequence_does(smol, folder):
    source = "{% if messages|length > 1 %}{{ raise_exception('one') }}{% endif %}Q{{ messages[0].content }}A"
    found = chat_template.from_folder(put(folder, source), smol)
    assert (found.before, found.after, found.end, found.lead) == (("Q",), ("A",), None, "")
