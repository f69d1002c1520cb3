"""Every public source, from files in its published layout to examples."""

import dataclasses
import functools
import hashlib
import http.server
import itertools
import json
import threading

import hypothesis
import pytest
from hypothesis import strategies as st

from dsmath import config
from dsmath.data import builder, mixture, prepared
from dsmath.data.preparation import prepare
from dsmath.data.source import Bad, Unusable, find_files
from dsmath.data.sources import known
from dsmath.error import UserError
from dsmath.records import POT, TOOL, Problem, Source, Stop
from dsmath.rollout.rollout import rollout
from dsmath.sandbox.client import Sandbox
from tests.data import samples
from tests.data.published import settings
from tests.rollout import scripted
from tests.rollout.scripted import Says, ScriptedGenerator
from tests.suites.test_download import Quiet
from tests.test_config import FOLDER, values

FILED = [name for name, source in known.SOURCES.items() if source.files]
PUBLIC = [name for name in FILED if known.find(name).downloads]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return samples.write(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="module")
def wanted():
    return settings(sources=tuple(known.SOURCES), modes=("cot", "tool", "pot"), problems=5)


@pytest.fixture(scope="module")
def made(tmp_path_factory, data_dir, wanted):
    """The manifest of a set of all sources, and its examples by id."""
    out = tmp_path_factory.mktemp("set")
    manifest = prepare(wanted, out, data_dir)
    examples = prepared.examples(out, wanted)
    found = {example.id: example for example in (examples[i] for i in range(len(examples)))}
    assert len(found) == manifest["examples"]
    return manifest, found


def test_both_languages_come_in_every_mode(made):
    assert {(e.lang, e.mode) for e in made[1].values()} == set(itertools.product(("en", "zh"), ("cot", "tool", "pot")))


def text(example) -> str:
    return "".join(piece.text for piece in example.solution)


@pytest.mark.parametrize("name", samples.KEPT)
def test_what_stays_are_these_examples(made, name):
    _, found = made
    kept = {id.removeprefix(f"{name}-"): text(e) for id, e in found.items() if e.source == name}
    wanted = samples.KEPT[name]
    assert {id: kept.get(id) for id in wanted} == wanted
    assert name == "gsm8k" or set(kept) == set(wanted)


@pytest.mark.parametrize("name", FILED)
def test_what_is_dropped_and_skipped_is_counted_by_reason(made, name):
    manifest, _ = made
    source = manifest["sources"][name]
    assert source["rows"]["skipped"] == samples.SKIPPED.get(name, {})
    assert set(source["modes"]) == set(known.find(name).modes)
    for mode, counts in source["modes"].items():
        assert counts["dropped"] == samples.DROPPED.get(name, {}).get(mode, {})
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())


@pytest.mark.parametrize("name", FILED)
def test_examples_say_where_they_are_from(made, name):
    _, found = made
    own = [example for example in found.values() if example.source == name]
    assert own
    for example in own:
        assert example.id == f"{name}-{example.row}-{example.mode}"
        assert example.lang == ("zh" if name in ("ape210k", "tal_scq5k", "school_math") else "en")
        assert example.answer
        assert example.license


@pytest.mark.parametrize(
    ("id", "license", "topic", "answer"),
    [
        ("mathinstruct-MathInstruct.json:1-cot", "NOASSERTION", "gsm_rft", "84"),
        ("mathinstruct-MathInstruct.json:2-cot", "Apache-2.0", "aqua_rat", "B"),
        ("mathinstruct-MathInstruct.json:3-cot", "MIT", "MATH_train", "\\frac13"),
        ("mathinstruct-MathInstruct.json:6-pot", "MIT", "gsm_gpt4", "126"),
        ("math-MATH/train/algebra/7.json-cot", "MIT", "Algebra", "3, -3"),
        ("lila-lila/multi/ood/train.json:1-pot", "CC-BY-4.0", "addsub", "16"),
        ("openmathinstruct1-correct_solutions/train.jsonl:1-tool", "LicenseRef-NVIDIA", "gsm8k", "240"),
        ("school_math-school_math_0.25M.json:1-cot", "GPL-3.0-only", "", "24"),
        ("annotated-first.jsonl:1-cot", "CC0-1.0", "products", "92"),
        ("ape210k-train.ape.json:1-tool", "MIT", "每份数、份数与总数", "150"),
    ],
)
def test_licence_topic_and_answer_are_those_of_the_row(made, id, license, topic, answer):
    example = made[1][id]
    assert (example.license, example.topic, example.answer) == (license, topic, answer)


def test_what_has_no_gold_is_counted(made):
    sources = made[0]["sources"]
    no_gold = {(name, mode): c["no_gold"] for name, s in sources.items() for mode, c in s["modes"].items()}
    assert {key: n for key, n in no_gold.items() if n} == {("mathinstruct", "pot"): 1, ("school_math", "cot"): 1}


def test_questions_lose_what_asks_for_a_program_and_keep_their_choices(made):
    _, found = made
    plain = "Rosa packs 9 boxes of 14 pears each. How many pears are that?"
    assert found["mathinstruct-MathInstruct.json:6-pot"].question == plain
    assert found["mathinstruct-MathInstruct.json:2-cot"].question == samples.MATHINSTRUCT[1]["instruction"]
    (choice,) = (example for example in found.values() if example.source == "tal_scq5k")
    assert choice.question == "$12\\times 5$等于____．\nA. $50$\nB. $60$"
    assert found["school_math-school_math_0.25M.json:1-cot"].question == "小林有3盒铅笔，每盒8支，他一共有多少支铅笔？"


@pytest.mark.parametrize("mode", ["cot", "tool", "pot"])
@pytest.mark.parametrize("name", known.SOURCES)
def test_an_example_is_what_a_rollout_holds_when_a_model_writes_its_words(made, name, mode):
    """To the byte, piece by piece, with the same writers; the generator has a real tokenizer."""
    examples = [e for e in made[1].values() if (e.source, e.mode) == (name, mode)]
    if mode not in known.find(name).modes:
        assert not examples
        return
    assert examples
    script = {example.id: said(example) for example in examples}
    rounds = max(len(generations) for generations in script.values())
    problems = [Problem(e.id, "", e.lang, e.question, e.answer, {}) for e in examples]
    with Sandbox(settings().sandbox) as sandbox:
        trajectories = rollout(
            problems, ScriptedGenerator(script), sandbox, scripted.setup(mode=mode, rounds=max(rounds, 1))
        )
        held = {t.problem.id: [(p.source, p.text) for p in t.response] for t in trajectories}
    for example in examples:
        pieces = [(piece.source, piece.text) for piece in example.solution]
        assert merged(held[example.id])[: 1 if mode == POT else None] == merged(pieces)
        assert (Source.TOOL in dict(pieces)) == (mode == TOOL)


WORDS = st.text() | st.sampled_from(
    ["data/PoT/x.json", "#### 3", "A", "x=1+2", "<llm-code>x", "The answer is {", "所以3。"]
)
JSON = st.recursive(st.none() | st.integers() | WORDS, lambda j: st.lists(j) | st.dictionaries(WORDS, j), max_leaves=8)
OPTION = st.lists(st.fixed_dictionaries({"aoVal": JSON, "content": JSON}), min_size=1, max_size=1)
VALUES = {
    str: WORDS,
    bool: st.booleans(),
    int: st.integers(),
    list: st.lists(JSON | OPTION | st.sampled_from(["print(1)", "x ="])),
}


@pytest.mark.parametrize(("name", "mode"), [(name, mode) for name in FILED for mode in known.find(name).modes])
@hypothesis.settings(deadline=None)
@hypothesis.given(data=st.data())
def test_a_row_of_the_right_types_gives_a_draft_or_a_reason(name, mode, data):
    source = known.find(name)
    row = data.draw(st.fixed_dictionaries({field: VALUES[kind] for field, kind in source.fields.items()}))
    try:
        draft = source.drafts[mode](row)
    except Unusable as e:
        draft, reason = None, str(e)
    else:
        reason = "of another mode"
    assert reason
    assert draft is None or (all(isinstance(turn, str) for turn in draft.turns) and isinstance(draft.topic, str))


def said(example) -> list[Says]:
    """What a model writes of an example, a generation each; it asks for output by a stop text, which isn't in them."""
    generations = [""]
    for piece in example.solution:
        if piece.source is Source.TOOL:
            generations.append("")
        elif piece.source is Source.MODEL:
            generations[-1] += piece.text
    *asking, last = generations
    return [*(Says(g.removesuffix("\n```output"), Stop.TEXT) for g in asking), Says(last, Stop.END)]


def merged(pieces):
    """Pieces with neighbours by one writer as one."""
    found = []
    for source, words in pieces:
        if found and found[-1][0] is source:
            found[-1] = (source, found[-1][1] + words)
        else:
            found.append((source, words))
    return found


@pytest.mark.parametrize("name", FILED)
def test_tfds_gives_the_same_rows(tmp_path, data_dir, name):
    source, folder = known.find(name), data_dir / name
    built = builder.SourceBuilder(source, folder=folder, data_dir=tmp_path, file_format="array_record")
    built.download_and_prepare()
    rows = [(key, row) for key, row in source.rows(find_files(source, folder)) if not isinstance(row, Bad)]
    wanted = [{"row": key} | {field: as_text(row.get(field)) for field in source.fields} for key, row in rows]
    found = [{k: v.decode() for k, v in record.items()} for record in built.as_data_source("train")]
    assert found == wanted
    assert built.info.citation == source.citation
    assert built.info.redistribution_info.license == source.license
    skipped = sum(n for reason, n in samples.SKIPPED.get(name, {}).items() if not reason.startswith("the field"))
    assert sum(built.info.metadata["skipped"].values()) == skipped


def as_text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("name", PUBLIC)
def test_downloads_are_one_of_the_sets_of_files_at_a_pinned_address(name):
    source = known.find(name)
    assert tuple(download.name for download in source.downloads) in source.files
    for download in source.downloads:
        assert download.url.startswith("https://")
        assert download.url.endswith(download.name.rpartition("/")[2])
        pinned = any(len(part) == 40 and int(part, 16) for part in download.url.split("/") if len(part) == 40)
        assert pinned or download.sha256


def test_the_mixture_of_the_papers_size_takes_every_public_source_in_modes_that_it_has():
    data = mixture.checked(config.parse(config.Config, values(FOLDER / "mixtures" / "dsmath_776k.py")))
    assert set(data.sources) == set(PUBLIC) == set(data.parts)
    assert (data.near_duplicates, data.paper) == (0.8, 776_000)
    for name, part in data.parts.items():
        assert mixture.modes(data, name) == part.modes
        assert part.stands_for


@pytest.fixture
def served(tmp_path, data_dir):
    """A function that gives a source as downloaded from a server of this machine, with the given sum."""
    handler = functools.partial(Quiet, directory=data_dir)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()

        def move(name, sha256):
            source = known.find(name)
            address = f"http://127.0.0.1:{httpd.server_port}/{name}"
            downloads = (dataclasses.replace(d, url=f"{address}/{d.name}", sha256=sha256) for d in source.downloads)
            return dataclasses.replace(source, downloads=tuple(downloads))

        yield move
        httpd.shutdown()


def test_what_is_downloaded_makes_the_same_set(tmp_path, data_dir, served, monkeypatch):
    (file,) = find_files(known.find("tal_scq5k"), data_dir / "tal_scq5k").values()
    source = served("tal_scq5k", hashlib.sha256(file.read_bytes()).hexdigest())
    monkeypatch.setitem(known.SOURCES, source.name, source)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    wanted = settings(sources=(source.name,), modes=("cot",))
    downloaded = prepare(wanted, tmp_path / "downloaded", None)
    assert downloaded == prepare(wanted, tmp_path / "local", data_dir)
    assert downloaded["examples"] == 1


def test_another_file_than_was_published_is_refused_in_one_line(tmp_path, served):
    with pytest.raises(UserError, match=r"has SHA-256 [0-9a-f]{64}, expected 0{64}; delete .* try again") as e:
        builder.downloaded(served("tal_scq5k", "0" * 64), tmp_path)
    assert "\n" not in str(e.value)
