"""`Homogenizer`: a language model rewrites the book's facets in one register, as DeViDe does; cached and versioned.

Optional: it needs an endpoint that speaks the OpenAI chat protocol (a local server or a service) and nothing installed;
the book works without it. Only texts of the book are sent, never anything of a patient.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from medvlp.errors import MedVLPError
from medvlp.io.atomic_write import atomic_file
from medvlp.knowledge.book import BookText, KnowledgeBook
from medvlp.knowledge.yaml_files import KNOWLEDGE_FOLDER, read_yaml

_BUSY = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class HomogenizeError(MedVLPError, RuntimeError):
    """The endpoint cannot be reached, refuses, or answers with something that is no rewritten text."""


@dataclass(frozen=True)
class Style:
    """The wanted register: `homogenize_style.yaml`, or one of your own."""

    version: str
    instructions: str
    facets: dict[str, str] = field(default_factory=dict)

    def messages(self, text: str, facet: str) -> list[dict[str, str]]:
        """The chat messages for one text."""
        about = self.facets.get(facet, self.facets.get("other", ""))
        return [
            {"role": "system", "content": f"{self.instructions} {about}".strip()},
            {"role": "user", "content": text},
        ]


@lru_cache(maxsize=1)
def default_style() -> Style:
    """The style of the package."""
    content = read_yaml(KNOWLEDGE_FOLDER / "homogenize_style.yaml")
    return Style(content["version"], content["instructions"], content["facets"])


@dataclass(frozen=True)
class Homogenizer:
    """Rewrites texts through `POST {endpoint}/chat/completions`; each text is sent once.

    Attributes:
        endpoint: base address, such as `http://localhost:8000/v1`.
        model: the model's name at that endpoint; part of the cache's key and of the sources of the new texts.
        cache: folder of the answers, a JSON file each, named by the hash of model, style and text.
        style: the register.
        key_variable: environment variable that holds the service's key; it is sent, never stored.
        timeout_s: seconds to wait for one answer.
        attempts: how often a busy endpoint is tried, with pauses that double from `pause_s`.
    """

    endpoint: str
    model: str
    cache: Path
    style: Style = field(default_factory=default_style)
    key_variable: str = "MEDVLP_LLM_KEY"
    timeout_s: float = 120.0
    attempts: int = 4
    pause_s: float = 1.0

    def rewrite(self, text: str, facet: str) -> str:
        """One text in the style, from the cache or from the endpoint.

        Raises:
            HomogenizeError: no usable answer; gives the reply of the endpoint.
        """
        request = {"model": self.model, "temperature": 0, "seed": 0, "messages": self.style.messages(text, facet)}
        key = hashlib.sha256(json.dumps([self.style.version, request], sort_keys=True).encode()).hexdigest()
        path = self.cache / f"{key}.json"
        if path.exists():
            return str(json.loads(path.read_text(encoding="utf-8"))["answer"])
        answer = self._answer(request, text)
        record = {"style": self.style.version, "model": self.model, "facet": facet, "text": text, "answer": answer}
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
        return answer

    def homogenize(
        self,
        book: KnowledgeBook,
        findings: Sequence[str] | None = None,
        facets: Sequence[str] = ("definition", "radiographic"),
        workers: int = 4,
    ) -> KnowledgeBook:
        """The book with the facets of the findings (all if None) rewritten; licenses stay, the model joins the sources.

        Args:
            workers: requests at a time.

        Raises:
            UnknownNameError: the book lacks a finding or facet.
            HomogenizeError: a text could not be rewritten; what was answered before stays in the cache.
        """
        wanted = [(f, facet) for f in (book.findings if findings is None else findings) for facet in facets]
        entries = {key: entry for key in wanted if (entry := book.entry(*key))}
        with ThreadPoolExecutor(workers) as pool:
            answers = list(pool.map(lambda item: self.rewrite(item[1].text, item[0][1]), entries.items()))
        source = f"rewritten by {self.model}, style {self.style.version}"
        texts: dict[str, dict[str, BookText]] = {}
        for ((finding, facet), entry), answer in zip(entries.items(), answers, strict=True):
            texts.setdefault(finding, {})[facet] = BookText(answer, entry.license, (*entry.sources, source))
        return book.with_texts(f"{book.name}+{self.model}-{self.style.version}", texts)

    def _answer(self, request: dict[str, Any], text: str) -> str:
        content = self._post(request)
        try:
            answer = " ".join(content["choices"][0]["message"]["content"].split()).strip('"')
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise HomogenizeError(f"{self.endpoint} answered without a text: {str(content)[:200]}") from error
        if not answer or len(answer) > 3 * len(text) + 200:
            raise HomogenizeError(f"{self.model} did not rewrite {text[:60]!r} but answered {answer[:120]!r}")
        return answer

    def _post(self, request: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {os.environ[self.key_variable]}"
        address = f"{self.endpoint.rstrip('/')}/chat/completions"
        call = Request(address, data=json.dumps(request).encode(), headers=headers, method="POST")
        for attempt in range(1, self.attempts + 1):
            try:
                with urlopen(call, timeout=self.timeout_s) as response:
                    return json.load(response)
            except HTTPError as error:
                if error.code not in _BUSY or attempt == self.attempts:
                    reply = error.read(200).decode("utf-8", "replace")
                    raise HomogenizeError(f"{address} refused with status {error.code}: {reply}") from error
            except (URLError, TimeoutError, json.JSONDecodeError) as error:
                raise HomogenizeError(f"no answer from {address}: {error}") from error
            time.sleep(self.pause_s * 2 ** (attempt - 1))
        raise HomogenizeError(f"{address} was never tried: attempts is {self.attempts}")
