"""A server of object storage on loopback: moto's S3, one request at a time, so that a condition and its write are one.

Prints its port; ends when its standard input is closed, as the death of the test run does too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    def log(self, *_: object) -> None:
        """Print nothing of each request."""


class _OneAtATime:
    """Answers one request at a time; connections may stay open meanwhile."""

    def __init__(self) -> None:
        self.application = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()

    def __call__(self, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        with self.lock:
            return list(self.application(environment, start))


def main() -> None:
    """Serve until the input ends."""
    server = make_server("127.0.0.1", 0, _OneAtATime(), threaded=True, request_handler=_Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
