"""`dsmath prepare` as a user runs it."""

import json

from tests.cli.test_main import TINY, complaint, dsmath


def test_it_shows_examples_and_what_they_come_to(tmp_path):
    done = dsmath("prepare", "--config", TINY, "--workdir", str(tmp_path), "--show", "2", "--stats", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout.splitlines()[-1])
    groups = manifest["statistics"]["groups"]
    assert sorted(groups) == ["en-cot", "en-tool", "zh-cot", "zh-tool"]
    assert sum(group["examples"] for group in groups.values()) == manifest["examples"] == 160
    assert manifest["statistics"]["packing"]["cut"]["fill"] == 1.0
    assert done.stderr.count("Assistant:") == 2
    assert (tmp_path / "data" / "report.md").read_text().startswith(f"# Training set {manifest['hash']}")


def test_what_follows_two_dashes_is_the_runner_s(tmp_path):
    done = dsmath(
        *("prepare", "--config", TINY, "--workdir", str(tmp_path), "--runner", "NoRunner", "--", "--project=p")
    )
    assert done.returncode == 2
    assert "NoRunner" in done.stderr.splitlines()[-1]
    assert "unexpected argument" in complaint("prepare", "--config", TINY, "--workdir", str(tmp_path), "stray")
