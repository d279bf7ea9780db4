"""The homogenizer against a small local server: what it sends, keeps, retries and refuses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from medvlp.knowledge import KnowledgeBook, UnknownNameError
from medvlp.knowledge.homogenize import HomogenizeError, Homogenizer, Style, default_style


class Endpoint(HTTPServer):
    """Speaks the chat protocol: answers with the text in capitals, after `busy` refusals."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict] = []
        self.keys: list[str | None] = []
        self.busy = 0
        self.status = 200
        self.answer: object = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append({"path": self.path, **request})
        self.server.keys.append(self.headers.get("Authorization"))
        status = self.server.status
        if self.server.busy:
            self.server.busy -= 1
            status = 503
        text = request["messages"][-1]["content"].upper()
        body = self.server.answer or {"choices": [{"message": {"content": f' "{text}"\n'}}]}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def homogenizer(endpoint: Endpoint, tmp_path: Path) -> Homogenizer:
    return Homogenizer(endpoint.address, "stub", tmp_path / "cache", pause_s=0.001)


def test_a_text_is_asked_for_once(endpoint: Endpoint, homogenizer: Homogenizer) -> None:
    assert homogenizer.rewrite("A small spot.", "definition") == "A SMALL SPOT."
    assert replace(homogenizer).rewrite("A small spot.", "definition") == "A SMALL SPOT."
    (request,) = endpoint.requests
    assert request["path"] == "/v1/chat/completions"
    assert (request["model"], request["temperature"]) == ("stub", 0)
    assert request["messages"][1] == {"role": "user", "content": "A small spot."}
    assert default_style().facets["definition"] in request["messages"][0]["content"]


@pytest.mark.parametrize(
    "change",
    [{"model": "other"}, {"style": Style("2", "Rewrite.")}, {"style": replace(default_style(), version="2")}],
)
def test_another_model_or_style_is_another_text(endpoint: Endpoint, homogenizer: Homogenizer, change: dict) -> None:
    homogenizer.rewrite("A small spot.", "definition")
    replace(homogenizer, **change).rewrite("A small spot.", "definition")
    assert len(endpoint.requests) == 2


def test_a_book_is_rewritten_with_its_licence_and_a_new_source(endpoint: Endpoint, homogenizer: Homogenizer) -> None:
    book = KnowledgeBook.load("default")
    new = homogenizer.homogenize(book, ["nodule", "lung_lesion"], ["definition", "ct"], workers=3)
    old, entry = book.entry("nodule", "definition"), new.entry("nodule", "definition")
    assert old is not None
    assert entry is not None
    assert (entry.text, entry.license) == (old.text.upper(), old.license)
    assert entry.sources == (*old.sources, "rewritten by stub, style 1")
    assert new.text("lung_lesion", "ct") is None
    assert new.text("nodule", "radiographic") == book.text("nodule", "radiographic")
    assert new.name == "default+stub-1"
    assert len(endpoint.requests) == 3
    with pytest.raises(UnknownNameError):
        homogenizer.homogenize(book, ["nodul"])


def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint, homogenizer: Homogenizer) -> None:
    endpoint.busy = 2
    assert homogenizer.rewrite("A spot.", "shape") == "A SPOT."
    assert len(endpoint.requests) == 3
    endpoint.busy = 10
    with pytest.raises(HomogenizeError, match="status 503"):
        homogenizer.rewrite("Another spot.", "shape")
    assert len(endpoint.requests) == 3 + homogenizer.attempts


def test_a_refusal_is_told_and_not_repeated(endpoint: Endpoint, homogenizer: Homogenizer) -> None:
    endpoint.status, endpoint.answer = 401, {"error": "bad key"}
    with pytest.raises(HomogenizeError, match=r"401.*bad key"):
        homogenizer.rewrite("A spot.", "shape")
    assert len(endpoint.requests) == 1
    assert not homogenizer.cache.exists()


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": []},
        {"choices": [{"message": {"content": None}}]},
        {"choices": [{"message": {"content": "   "}}]},
        {"choices": [{"message": {"content": "I am a language model. " * 50}}]},
        ["no mapping"],
    ],
)
def test_what_is_no_rewritten_text_is_refused(endpoint: Endpoint, homogenizer: Homogenizer, answer: object) -> None:
    endpoint.answer = answer
    with pytest.raises(HomogenizeError):
        homogenizer.rewrite("A spot.", "shape")
    assert not homogenizer.cache.exists()


def test_the_key_is_sent_and_never_stored(
    endpoint: Endpoint, homogenizer: Homogenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDVLP_LLM_KEY", "s3cret")
    homogenizer.rewrite("A spot.", "shape")
    assert endpoint.keys == ["Bearer s3cret"]
    assert all("s3cret" not in path.read_text() for path in homogenizer.cache.iterdir())


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(HomogenizeError, match="no answer"):
        Homogenizer("http://127.0.0.1:9/v1", "stub", tmp_path).rewrite("A spot.", "shape")
