"""Benchmarks as TFDS data sets, from a folder and from a server."""

import dataclasses
import functools
import hashlib
import http.server
import threading

import pytest

from dsmath.error import UserError
from dsmath.suites import catalogue, download
from tests.suites.made_up import rows, write


@pytest.fixture
def server(tmp_path):
    """The address of a server of the folder tmp_path/published."""
    (tmp_path / "published").mkdir()
    handler = functools.partial(Quiet, directory=tmp_path / "published")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def moved(server):
    """A function that gives a suite as downloaded from the server, with the given sums."""

    def move(suite, *sums):
        published = catalogue.find(suite)
        downloads = tuple(
            dataclasses.replace(one, url=f"{server}/{suite}/{one.name}", sha256=sha256)
            for one, sha256 in zip(published.layout.downloads, sums, strict=True)
        )
        layout = dataclasses.replace(published.layout, downloads=downloads)
        return dataclasses.replace(published, layout=layout)

    return move


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_built_from_a_folder_is_what_is_read_from_it_in_its_order(tmp_path):
    write(tmp_path, "cmath", rows("cmath"))
    suite = catalogue.find("cmath")
    builder = download.Benchmark(
        suite, folder=tmp_path / "cmath", data_dir=tmp_path / "tfds", file_format="array_record"
    )
    builder.download_and_prepare()
    assert download.problems(suite, tmp_path / "tfds") == catalogue.problems("cmath", tmp_path)


def test_what_is_downloaded_once_is_checked_and_kept(tmp_path, moved):
    path = write(tmp_path / "published", "gsm8k", rows("gsm8k"))
    suite = moved("gsm8k", sha256(path))
    found = download.problems(suite, tmp_path / "tfds")
    assert found == catalogue.problems("gsm8k", tmp_path / "published")
    path.unlink()
    assert download.problems(suite, tmp_path / "tfds") == found


def test_a_suite_of_several_files_without_sums_is_downloaded(tmp_path, moved):
    for part, size in {"singleeq": 508, "singleop": 562, "addsub": 395, "multiarith": 600}.items():
        write(tmp_path / "published", "mawps", rows("mawps", size), f"{part}.jsonl")
    suite = moved("mawps", None, None, None, None)
    assert download.problems(suite, tmp_path / "tfds") == catalogue.problems("mawps", tmp_path / "published")


def test_another_file_than_was_published_is_refused_in_one_line(tmp_path, moved):
    path = write(tmp_path / "published", "gsm8k", rows("gsm8k"))
    suite = moved("gsm8k", "0" * 64)
    with pytest.raises(UserError, match=rf"gsm8k/test.jsonl has SHA-256 {sha256(path)}, expected 0{{64}}.*--dat") as e:
        download.problems(suite, tmp_path / "tfds")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["gsm8k", "svamp"])
def test_a_server_that_lacks_the_file_is_one_line_that_names_the_address_and_the_way_out(tmp_path, moved, name):
    suite = moved(name, None)
    with pytest.raises(UserError, match=r"cannot download .*http://127.0.0.1.*give --data_dir") as e:
        download.problems(suite, tmp_path / "tfds")
    assert "\n" not in str(e.value)
    assert suite.layout.downloads[0].url in str(e.value)


def test_no_server_is_told_at_once(tmp_path, moved):
    suite = moved("gsm8k", None)
    nowhere = dataclasses.replace(suite.layout.downloads[0], url="http://127.0.0.1:1/test.jsonl")
    suite = dataclasses.replace(suite, layout=dataclasses.replace(suite.layout, downloads=(nowhere,)))
    with pytest.raises(UserError, match="cannot download gsm8k"):
        download.problems(suite, tmp_path / "tfds")


def test_an_incomplete_download_is_not_kept(tmp_path, moved):
    write(tmp_path / "published", "cmath", rows("cmath", 1000))
    suite = moved("cmath", None)
    with pytest.raises(UserError, match="cmath has 1098 problems, but 1000 were found"):
        download.problems(suite, tmp_path / "tfds")
    assert not list((tmp_path / "tfds").rglob("*array_record*"))
