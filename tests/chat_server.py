"""A server of chats that answers as a test says, over real HTTP on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


def said(text: object, **more: object) -> Answer:
    body = {"choices": [{"message": {"role": "assistant", "content": text}}], **more}
    return 200, {}, json.dumps(body, ensure_ascii=False).encode()


@dataclass
class Server:
    """Answers as ``answer`` says, which is told the body and how many requests came before."""

    url: str = ""
    answer: Callable[[dict[str, Any], int], Answer] = lambda body, number: said("ham")
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[Server]:
    """A server at work."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.bodies.append(body)
            state.headers.append(dict(self.headers))
            state.paths.append(self.path)
            code, headers, content = state.answer(body, len(state.bodies) - 1)
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_address[1]}"
    try:
        yield state
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
