"""Cloud Storage on this machine: `python -m tests.cli.cloud_storage PORT BUCKET`, in memory.

The emulator, with what tensorstore needs beyond it: the generation of a file that is read, and the refusal of what is
written or deleted on condition of another generation.
"""

import functools
import http.server
import sys
import urllib.parse

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage


class Handler(RequestHandler):
    """One request; the server answers them one after another."""

    def do_POST(self) -> None:
        if not self._refused():
            super().do_POST()

    def do_DELETE(self) -> None:
        if not self._refused():
            super().do_DELETE()

    def end_headers(self) -> None:
        """Add the generation of the file that is read."""
        if self.command == "GET" and (generation := self._generation()) != "0":
            self.send_header("x-goog-generation", generation)
        super().end_headers()

    def _refused(self) -> bool:
        wanted = self._query().get("ifGenerationMatch", [None])[0]
        if wanted is None or wanted == self._generation():
            return False
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(http.HTTPStatus.PRECONDITION_FAILED)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _query(self) -> dict[str, list[str]]:
        return urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)

    def _generation(self) -> str:
        """Of the file that a request names; 0 if there is none."""
        bucket, _, name = urllib.parse.urlsplit(self.path).path.partition("/b/")[2].partition("/o")
        name = urllib.parse.unquote(name.lstrip("/")) or self._query().get("name", [""])[0]
        try:
            return self.storage.get_file_obj(bucket, name)["generation"]
        except NotFound:
            return "0"


def main() -> None:
    """Serve until killed."""
    storage = Storage(use_memory_fs=True)
    buckets.create_bucket(sys.argv[2], storage)
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), functools.partial(Handler, storage)).serve_forever()


if __name__ == "__main__":
    main()
