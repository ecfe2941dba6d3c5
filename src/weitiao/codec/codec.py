"""The codec of one model: its tokenizer and its chat template, and which tokens of a conversation are learned.

It reads the model's own files (``tokenizer.json``, ``chat_template.jinja``) and needs neither torch nor transformers:
what will be trained can be shown before anything heavy is loaded. The rendered text is tokenized whole, as
transformers, vLLM and llama.cpp do; control tokens inside a user's text stay plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding as RawEncoding
from tokenizers import Tokenizer

from weitiao.codec.files import TokenizerFiles, read_tokenizer
from weitiao.codec.template import BUILT_IN, Template
from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t

_PROBE = (Message("user", "weitiao asks"), Message("assistant", "weitiao answers"))


@dataclass(frozen=True, slots=True)
class Encoding:
    """A rendered conversation as tokens."""

    tokens: NDArray[np.int32]  # [T]
    learned: NDArray[np.bool_]  # [T] whether this token is a target
    complete: bool  # every learned reply ends with the token that ends a reply

    @property
    def asked(self) -> int:
        """How many tokens are learned."""
        return int(self.learned.sum())


@dataclass(frozen=True)
class Codec:
    """One model's text ↔ tokens. ``end_id`` ends a reply in the template; generation stops at any of ``stop_ids``."""

    tokenizer: Tokenizer
    template: Template
    template_name: str  # "model", a built-in's name, or the file it came from
    vocabulary: int
    bos_id: int | None
    end_id: int | None
    stop_ids: frozenset[int]
    control: dict[str, int] = field(repr=False)  # special tokens by text
    control_pattern: re.Pattern[str] | None = field(repr=False)

    def encode_conversations(
        self, conversations: Sequence[Sequence[Message]], every_reply: bool = True
    ) -> list[Encoding]:
        """Each conversation ends with the reply to learn. With ``every_reply`` earlier assistant turns are learned too,
        unless the template rewrites them when more turns follow (as templates do that drop earlier reasoning)."""
        texts, spans = [], []
        for messages in conversations:
            text, replies = self._render_with_replies(messages, every_reply)
            texts.append(text)
            spans.append(replies)
        return [self._masked(raw, replies) for raw, replies in zip(self._tokenize(texts), spans, strict=True)]

    def encode_prompts(self, conversations: Sequence[Sequence[Message]]) -> list[NDArray[np.int32]]:
        """Each conversation up to the place where a reply begins."""
        texts = [self._render(messages, add_generation_prompt=True) for messages in conversations]
        return [raw.ids for raw in self._tokenize(texts)]

    def encode_documents(self, texts: Sequence[str]) -> list[Encoding]:
        """Plain texts as the tokenizer begins them, closed with the end token; all but the first token are learned."""
        encodings = []
        for raw in self._encode_plain(texts, add_special_tokens=True):
            ids = raw if self.end_id is None or raw[-1:].tolist() == [self.end_id] else np.append(raw, self.end_id)
            tokens = ids.astype(np.int32)
            learned = np.ones(len(tokens), dtype=np.bool_)
            learned[:1] = False
            encodings.append(Encoding(tokens, learned, complete=True))
        return encodings

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``, without control tokens."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The text of each token, control tokens included; a character split over tokens stands at the last of them."""
        pieces, pending = [], list[int]()
        for token in tokens:
            pending.append(int(token))
            text = self.tokenizer.decode(pending, skip_special_tokens=False)
            if text.endswith("\ufffd"):
                pieces.append("")
                continue
            pieces.append(text)
            pending.clear()
        return pieces

    def control_tokens_in(self, text: str) -> int:
        """How many control tokens are written out in ``text``."""
        return len(self.control_pattern.findall(text)) if self.control_pattern else 0

    def _render_with_replies(self, messages: Sequence[Message], every_reply: bool) -> tuple[str, list[tuple[int, int]]]:
        text = self._render(messages)
        self._check_kept(messages, text)
        replies = []
        for index, message in enumerate(messages):
            last = index == len(messages) - 1
            if message.role != "assistant" or not (every_reply or last):
                continue
            prompt = self._render(messages[:index], add_generation_prompt=True)
            upto = text if last else self._render(messages[: index + 1])
            if upto.startswith(prompt) and text.startswith(upto):
                replies.append((len(prompt), len(upto)))
            elif last:
                raise ModelError(
                    t("the chat template writes the reply elsewhere than where it asks for one"),
                    t("its generation prompt does not begin a reply: pass --template FILE with a repaired one"),
                )
        return text, replies

    def _check_kept(self, messages: Sequence[Message], text: str) -> None:
        """Templates may rewrite earlier turns, never the system prompt, the last question or the reply."""
        for message in (*messages[:1], *messages[-2:]):
            content = self._broken(message.content).strip()
            if content in text or "".join(content.split()) in "".join(text.split()):
                continue
            raise ModelError(
                t("the chat template loses the text of a {role} message: {text}", role=message.role, text=content[:80]),
                t("pass --template FILE, or one of {names}", names=", ".join(BUILT_IN)),
            )

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The text of ``messages`` in which control tokens of the users are broken by a mark, see :meth:`_tokenize`."""
        broken = [Message(message.role, self._broken(message.content)) for message in messages]
        return self.template.render(broken, add_generation_prompt)

    def _broken(self, content: str) -> str:
        if self.control_pattern is None or not self.control_pattern.search(content):
            return content
        whole = content.replace(_MARK, "")
        return self.control_pattern.sub(lambda found: found[0][0] + _MARK + found[0][1:], whole)

    def _tokenize(self, texts: Sequence[str]) -> list[_Tokens]:
        """Whole texts; those that hold a mark piece by piece, with only the template's own control tokens parsed."""
        plain = [index for index, text in enumerate(texts) if _MARK not in text]
        raws: list[_Tokens | None] = [None] * len(texts)
        encoded = self.tokenizer.encode_batch([texts[index] for index in plain], add_special_tokens=False)
        for index, raw in zip(plain, encoded, strict=True):
            raws[index] = _Tokens(np.array(raw.ids, dtype=np.int32), raw, None)
        return [raw or self._tokenize_marked(text) for raw, text in zip(raws, texts, strict=True)]

    def _tokenize_marked(self, text: str) -> _Tokens:
        assert self.control_pattern is not None
        ids: list[int] = []
        ends: list[int] = []
        cursor = 0
        for found in [*self.control_pattern.finditer(text), None]:
            piece = text[cursor : found.start() if found else len(text)]
            raw = self._encode_as_text(piece.replace(_MARK, ""))
            ids += raw.ids
            # The offsets count without marks; the replies' borders count with them.
            kept = [place for place, character in enumerate(piece) if character != _MARK]
            ends += [cursor + (kept[end - 1] + 1 if end else 0) for _, end in raw.offsets]
            if found:
                ids.append(self.control[found[0]])
                ends.append(found.end())
                cursor = found.end()
        return _Tokens(np.array(ids, dtype=np.int32), None, np.array(ends))

    def _encode_as_text(self, piece: str) -> RawEncoding:
        self.tokenizer.encode_special_tokens = True
        try:
            return self.tokenizer.encode(piece, add_special_tokens=False)
        finally:
            self.tokenizer.encode_special_tokens = False

    def _encode_plain(self, texts: Sequence[str], add_special_tokens: bool) -> list[NDArray[np.int32]]:
        self.tokenizer.encode_special_tokens = True
        try:
            raws = self.tokenizer.encode_batch_fast(list(texts), add_special_tokens=add_special_tokens)
        finally:
            self.tokenizer.encode_special_tokens = False
        return [np.array(raw.ids, dtype=np.int32) for raw in raws]

    def _masked(self, raw: _Tokens, replies: Sequence[tuple[int, int]]) -> Encoding:
        learned = np.zeros(len(raw.ids), dtype=np.bool_)
        complete = True
        for start, end in replies:
            # A token that straddles the border belongs to the reply: "▁spam" begins with the template's space.
            first, last = raw.first_ending_after(start), raw.first_ending_after(end)
            stops = np.flatnonzero(raw.ids[first:last] == (-1 if self.end_id is None else self.end_id))
            if len(stops):
                last = first + int(stops[0]) + 1
            else:
                complete = False
            learned[first:last] = True
        kept = int(np.flatnonzero(learned)[-1]) + 1 if learned.any() else len(learned)
        return Encoding(raw.ids[:kept], learned[:kept], complete)


@dataclass(frozen=True, slots=True)
class _Tokens:
    ids: NDArray[np.int32]
    raw: RawEncoding | None
    ends: NDArray[np.int64] | None  # [T] where in the text each token ends, when there is no raw encoding

    def first_ending_after(self, position: int) -> int:
        """The first token that ends beyond character ``position``."""
        ends = self.ends
        if ends is None:
            assert self.raw is not None
            found = self.raw.char_to_token(position)  # None where white space was dropped, and past the end
            if found is not None:
                return int(found)
            ends = np.array([end for _, end in self.raw.offsets], dtype=np.int64)
        after = np.flatnonzero(ends > position)
        return int(after[0]) if len(after) else len(self.ids)


_MARK = "\ue0f8"  # a private-use character; it never reaches the tokenizer


def open_codec(folder: Path, template: str | None = None) -> Codec:
    """The codec of the model in ``folder``; ``template`` is a file or a built-in's name. Raises ModelError."""
    files = read_tokenizer(folder)
    name, source = _template_source(files, template)
    compiled = Template(source, files.variables)
    control = {text: number for text, number in files.special.items() if text}
    longest_first = sorted(control, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first))) if control else None
    end_id = _end_of_reply(compiled, pattern, control)
    stop_ids = files.stop_ids | ({end_id} if end_id is not None else set())
    return Codec(
        tokenizer=files.tokenizer,
        template=compiled,
        template_name=name,
        vocabulary=files.tokenizer.get_vocab_size(with_added_tokens=True),
        bos_id=files.bos_id,
        end_id=end_id,
        stop_ids=frozenset(stop_ids),
        control=control,
        control_pattern=pattern,
    )


def _template_source(files: TokenizerFiles, template: str | None) -> tuple[str, str]:
    if template in BUILT_IN:
        begins = "{{ bos_token }}" if files.adds_bos and template == "plain" else ""
        return template, begins + BUILT_IN[template]
    if template is not None:
        path = Path(template)
        if not path.is_file():
            raise ModelError(
                t("there is no template {name}", name=template),
                t("pass a .jinja file or one of {names}", names=", ".join(BUILT_IN)),
            )
        return template, path.read_text(encoding="utf-8")
    if files.chat_template:
        return "model", files.chat_template
    return _template_source(files, "plain")


def _end_of_reply(template: Template, pattern: re.Pattern[str] | None, control: dict[str, int]) -> int | None:
    """The first control token after a reply; None when the template closes no reply."""
    text = template.render(_PROBE)
    begins = text.find(_PROBE[1].content)
    if begins < 0:
        raise ModelError(
            t("the chat template loses the reply's text"),
            t("pass --template FILE, or one of {names}", names=", ".join(BUILT_IN)),
        )
    found = pattern.search(text, begins + len(_PROBE[1].content)) if pattern else None
    return control[found[0]] if found else None
