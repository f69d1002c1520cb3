"""What a folder was begun with stays, whatever of it is a value and whatever a section."""

import pytest

from dsmath import runs
from dsmath.error import UserError

STRETCHED = {"model": {"rope_scaling": {"kind": "linear", "factor": 2.0}, "vocab_size": 300}}
PLAIN = {"model": {"rope_scaling": None, "vocab_size": 300}}


@pytest.mark.parametrize(("first", "then"), [(PLAIN, STRETCHED), (STRETCHED, PLAIN)])
def test_nothing_and_a_section_in_its_place_are_two_settings(tmp_path, first, then):
    path = tmp_path / "settings.json"
    runs.pin(path, first)
    runs.pin(path, first)
    with pytest.raises(UserError, match=r"was begun with model\.rope_scaling = "):
        runs.pin(path, then)
    runs.pin(path, then, free=("model",))


def test_a_setting_that_was_unknown_is_added(tmp_path):
    path = tmp_path / "settings.json"
    runs.pin(path, {"seed": 1})
    runs.pin(path, {"seed": 1, **STRETCHED})
    assert runs.read_pinned(path) == {"seed": 1, **runs.flatten(STRETCHED)}
    with pytest.raises(UserError, match=r"model\.rope_scaling\.factor = 2\.0, now it is 4\.0"):
        runs.pin(path, {"model": {"rope_scaling": {"kind": "linear", "factor": 4.0}}})
