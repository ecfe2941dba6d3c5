"""One question to an OpenAI-compatible server, asked until it is answered: ``POST …/v1/chat/completions``.

Separate because nothing else here knows HTTP. The key comes from the environment and goes into one header: it is in no
value that is returned, written or shown. No redirect is followed, which could carry the header elsewhere.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from threading import Event
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from weitiao.data.visible import visible
from weitiao.errors import MachineError, ModelError, SettingsError, Stopped
from weitiao.words import t

KEY = "WEITIAO_ENDPOINT_KEY"
ATTEMPTS = 6
_TIMEOUT_SECONDS = 120
_FIRST_PAUSE_SECONDS = 1.0  # doubled each time
_LONGEST_PAUSE_SECONDS = 300.0
_MOST_BYTES = 8 << 20
_AGAIN = (408, 409, 425, 429)  # and all that begin with 5
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """A checked address, and the name of a model there."""

    url: str
    model: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Said:
    """What the server wrote; tokens as it counts them, 0 where it does not; seconds of the attempt that succeeded."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float


def chat_endpoint(url: str, model: str, max_tokens: int) -> ChatEndpoint:
    """The endpoint at ``url``: a server, its ``/v1``, or the whole address. Raises SettingsError for an unfit one."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            t("endpoint: {url} is no address", url=visible(url, 80)), t("write it as http://localhost:8000/v1")
        )
    if parts.username or parts.password or "key" in parts.query.casefold():
        raise SettingsError(
            t("endpoint: the address holds a key or a password, and would be written into the report"),
            t("put the key into the environment: {name}", name=KEY),
        )
    if _key() and parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise SettingsError(
            t("endpoint: the key would be sent to {host} without encryption", host=parts.hostname),
            t("use https, or unset {name}", name=KEY),
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path = f"{path or '/v1'}/chat/completions"
    return ChatEndpoint(urlunsplit((parts.scheme, parts.netloc, path, parts.query, "")), model, max_tokens)


def body_of(endpoint: ChatEndpoint, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What is sent; greedy, so that the same question has the same answer where the server can do that."""
    return {
        "model": endpoint.model,
        "messages": list(messages),
        "temperature": 0,
        "max_tokens": endpoint.max_tokens,
        "stream": False,
    }


def request(endpoint: ChatEndpoint, body: Mapping[str, Any], stop: Event) -> Said:
    """The server's answer, after up to ``ATTEMPTS`` tries, as long apart as it asks for.

    Raises MachineError when it cannot be reached or keeps failing, ModelError when it refuses, Stopped when ``stop`` is
    set while waiting.
    """
    reason = ""
    for attempt in range(ATTEMPTS):
        began = time.monotonic()
        try:
            return _said(_sent(endpoint, body), time.monotonic() - began)
        except HTTPError as error:
            reason, asked = _reason(error), _retry_after(error.headers.get("Retry-After"))
            if error.code not in _AGAIN and error.code < 500:
                raise _refused(endpoint, error.code, reason) from None
        except (OSError, HTTPException, _MalformedError) as error:
            reason, asked = _without_key(str(error) or type(error).__name__), None
        pause = _FIRST_PAUSE_SECONDS * 2**attempt if asked is None else asked
        if pause > _LONGEST_PAUSE_SECONDS or attempt + 1 == ATTEMPTS:
            break
        if stop.wait(pause):
            raise Stopped(t("stopped while asking {url}", url=endpoint.url))
    raise MachineError(
        t("{url} gives no answer: {reason}", url=endpoint.url, reason=reason),
        t("what was answered is kept; compare again later, and it goes on from there"),
    )


class _MalformedError(Exception):
    """An answer that is not one of a chat."""


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow none: the answer counts as a refusal."""
        return


def _sent(endpoint: ChatEndpoint, body: Mapping[str, Any]) -> Any:
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "weitiao"}
    if key := _key():
        headers["Authorization"] = f"Bearer {key}"
    asked = Request(endpoint.url, json.dumps(body).encode("ascii"), headers, method="POST")
    with build_opener(_NoRedirect).open(asked, timeout=_TIMEOUT_SECONDS) as answer:
        return answer.read(_MOST_BYTES)


def _said(answer: bytes, seconds: float) -> Said:
    try:
        found = json.loads(answer)
        text = found["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        raise _MalformedError(t("the answer is not that of a chat: {text}", text=_shown(answer))) from None
    if text is not None and not isinstance(text, str):
        raise _MalformedError(t("the answer is not that of a chat: {text}", text=_shown(answer)))
    usage = found.get("usage")
    counts = [usage.get(name) if isinstance(usage, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    tokens = [count if isinstance(count, int) and count > 0 else 0 for count in counts]
    return Said(text or "", tokens[0], tokens[1], seconds)


def _key() -> str:
    key = os.environ.get(KEY, "").strip()
    if not key.isascii() or any(character.isspace() or not character.isprintable() for character in key):
        raise SettingsError(t("{name} holds characters that no key has", name=KEY), t("set it again"))
    return key


def _refused(endpoint: ChatEndpoint, code: int, reason: str) -> ModelError:
    hints = {
        401: t("put the key into the environment: {name}", name=KEY),
        403: t("put the key into the environment: {name}", name=KEY),
        404: t("check endpoint and endpoint_model"),
    }
    problem = t("{url} refuses the question ({code}): {reason}", url=endpoint.url, code=code, reason=reason)
    return ModelError(problem, hints.get(code, t("check endpoint and endpoint_model, or leave the arm out")))


def _reason(error: HTTPError) -> str:
    try:
        answer = error.read(_MOST_BYTES)
    except (OSError, HTTPException):
        answer = b""
    try:
        found = json.loads(answer)["error"]
        return _shown(str(found["message"] if isinstance(found, dict) else found).encode())
    except (ValueError, LookupError, TypeError):
        return _shown(answer) or str(error.code)


def _shown(answer: bytes) -> str:
    return visible(_without_key(answer.decode("utf-8", "replace")), 200)


def _without_key(text: str) -> str:
    """A server may repeat what it was sent."""
    key = _key()
    return text.replace(key, "…") if key else text


def _retry_after(value: str | None) -> float | None:
    """Seconds, given as such or as a date; None where nothing usable is said."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
