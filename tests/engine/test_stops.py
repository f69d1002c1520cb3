"""Stop texts over real tokens: found as soon as they are there, cut exactly."""

import pytest

from dsmath.engine.stops import Watch, cut

TEXT = "the wren shares\n```output\n7 figs — 三个 🦉 and two larks"


def met_at(tokenizer, ids, stops, size):
    """After how many ids, given in parts of `size`, the watch has seen a stop text."""
    watch = Watch(tokenizer, stops)
    for start in range(0, len(ids), size):
        if watch.extend(ids[start : start + size]):
            return start + size
    return None


@pytest.fixture
def ids(tokenizer):
    return tokenizer.encode(TEXT)


def test_the_text_spans_tokens(tokenizer, ids):
    assert max(len(tokenizer.decode([i])) for i in ids) > 2
    assert any("\ufffd" in tokenizer.decode([i]) for i in ids)


@pytest.mark.parametrize("size", [1, 3, 8, 100])
@pytest.mark.parametrize("stop", ["```output", "s\n`", "figs — 三", "个", "🦉 and", "larks", "t", "the wren", " "])
def test_a_stop_is_met_with_the_token_that_completes_it(tokenizer, ids, stop, size):
    first = next(n for n in range(len(ids) + 1) if stop in tokenizer.decode(ids[:n]))
    assert met_at(tokenizer, ids, [stop], size) == -(-first // size) * size


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("stops", [[], [""], ["absent"], ["wrens", "\n\n", "三個"]])
def test_what_is_not_there_is_not_met(tokenizer, ids, stops, size):
    assert met_at(tokenizer, ids, stops, size) is None


def test_a_stop_is_met_behind_bytes_that_are_no_utf8(tokenizer):
    byte = tokenizer.encode("三")[0]
    ids = (byte,) * 40 + tokenizer.encode("larks")
    assert met_at(tokenizer, ids, ["lark"], 1) is not None


def test_watching_decodes_a_few_tokens_however_long_the_text(tokenizer, ids):
    longest = 0

    class Counting:
        def decode(self, part):
            nonlocal longest
            longest = max(longest, len(part))
            return tokenizer.decode(part)

    watch = Watch(Counting(), ["absent"])
    for id in ids * 20:
        watch.extend([id])
    assert longest <= 8


@pytest.mark.parametrize("stop", ["```output", "s\n`", "figs — 三", "个", "🦉 and", "larks", "he", "the wren", " "])
def test_what_stands_before_the_stop_is_kept_to_the_character(tokenizer, ids, stop):
    kept, text, tail, stopped = cut(tokenizer, ids, [stop])
    assert stopped
    assert text == TEXT[: TEXT.index(stop)]
    assert tokenizer.decode(kept) + tail == text
    assert kept == ids[: len(kept)]
    longer = tokenizer.decode(ids[: len(kept) + 1])
    assert not text.startswith(longer)


def test_a_stop_that_begins_inside_a_token_leaves_a_tail(tokenizer):
    ids = tokenizer.encode("and two larks")
    inside = next(t for t in map(lambda i: tokenizer.decode([i]), ids) if len(t) > 2)
    _, text, tail, _ = cut(tokenizer, ids, [inside[1:]])
    assert tail == inside[0]
    assert text.endswith(tail)


def test_without_a_stop_nothing_is_cut(tokenizer, ids):
    assert cut(tokenizer, ids, ["absent"]) == (ids, TEXT, "", "")


def test_incomplete_utf8_at_the_end_is_a_replacement_character(tokenizer):
    ids = tokenizer.encode("figs 三")[:-1]
    assert cut(tokenizer, ids, ["absent"]) == (ids, tokenizer.decode(ids), "", "")
    assert tokenizer.decode(ids).endswith("\ufffd")


def test_of_several_stops_the_first_to_be_complete_counts(tokenizer, ids):
    _, text, _, _ = cut(tokenizer, ids, ["wren shares\n```output\n7", "ren", "larks"])
    assert text == "the w"


def test_of_stops_that_end_together_the_longest_counts(tokenizer, ids):
    _, text, _, _ = cut(tokenizer, ids, ["en", "wren"])
    assert text == "the "
