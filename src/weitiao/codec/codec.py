"""The codec of one model: its tokenizer and its chat template, and which tokens of a conversation are learned.

It reads the model's own files (``tokenizer.json``, ``chat_template.jinja``) and needs neither torch nor transformers:
what will be trained can be shown before anything heavy is loaded. The rendered text is tokenized whole, as
transformers, vLLM and llama.cpp do; control tokens inside a user's text stay plain text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding as RawEncoding
from tokenizers import Tokenizer

from weitiao.codec.control import MARK, ControlTokens
from weitiao.codec.files import TokenizerFiles, read_template, read_tokenizer
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
    control_tokens: int = 0  # written out in the texts, and read as plain text

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
    control: ControlTokens = field(repr=False)

    def encode_conversations(
        self, conversations: Sequence[Sequence[Message]], every_reply: bool = True
    ) -> list[Encoding]:
        """Each conversation ends with the reply to learn. With ``every_reply`` earlier assistant turns are learned too,
        unless the template rewrites them when more turns follow (as templates do that drop earlier reasoning)."""
        rendered = [self._render_with_replies(messages, every_reply) for messages in conversations]
        return [self._mask(each, raw) for each, raw in zip(rendered, self._tokenize(rendered), strict=True)]

    def encode_prompts(self, conversations: Sequence[Sequence[Message]]) -> list[NDArray[np.int32]]:
        """Each conversation up to the place where a reply begins."""
        rendered = [self._prompt(messages) for messages in conversations]
        raws = self._tokenize(rendered)
        return [np.array(self._ids(*pair), dtype=np.int32) for pair in zip(rendered, raws, strict=True)]

    def encode_documents(self, texts: Sequence[str]) -> list[Encoding]:
        """Plain texts as the tokenizer begins them, closed with the end token; all but the first token are learned."""
        counts = [self.control.count(text) for text in texts]
        plain = [text for text, count in zip(texts, counts, strict=True) if not count]
        blind = [text for text, count in zip(texts, counts, strict=True) if count]
        seen = iter(self.tokenizer.encode_batch_fast(plain))
        unseen = iter(self.control.encode(blind, add_special_tokens=True) if blind else [])
        return [self._document(next(unseen if count else seen), count) for count in counts]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of ``tokens``, without control tokens."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """The text of each token, control tokens included; a character split over tokens stands at the last of them."""
        pieces: list[str] = []
        before: list[int] = []  # the tokens of the last piece: some decoders drop the space of a text's first token
        pending: list[int] = []
        for token in tokens:
            pending.append(int(token))
            text = self._decoded([*before, *pending])[len(self._decoded(before)) :]
            if text.endswith("\ufffd"):
                pieces.append("")
            else:
                pieces.append(text)
                before, pending = pending, []
        if pending:
            pieces[-1] = self._decoded([*before, *pending])[len(self._decoded(before)) :]
        return pieces

    def _decoded(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False)

    def _render_with_replies(self, messages: Sequence[Message], every_reply: bool) -> _Rendered:
        covered = self._covered(messages)
        text = self.template.render(covered)
        _check_kept(messages, covered, text)
        borders: list[int] = []
        for index in range(len(covered) - 1 if not every_reply else 0, len(covered)):
            last = index == len(covered) - 1
            if covered[index].role != "assistant" or (index == 0 and not last):
                continue
            prompt = self.template.render(covered[:index], add_generation_prompt=True)
            upto = text if last else self.template.render(covered[: index + 1])
            if upto.startswith(prompt) and text.startswith(upto):
                borders += [len(prompt), len(upto)]
            elif last:
                raise ModelError(
                    t("the chat template writes the reply elsewhere than where it asks for one"),
                    t("its generation prompt does not begin a reply: pass --template FILE with a repaired one"),
                )
        return self._aliased(messages, text, borders)

    def _prompt(self, messages: Sequence[Message]) -> _Rendered:
        return self._aliased(messages, self.template.render(self._covered(messages), add_generation_prompt=True), [])

    def _covered(self, messages: Sequence[Message]) -> Sequence[Message]:
        contents = [self.control.covered(message.content) for message in messages]
        if all(content is message.content for content, message in zip(contents, messages, strict=True)):
            return messages
        return [Message(message.role, content) for message, content in zip(messages, contents, strict=True)]

    def _aliased(self, messages: Sequence[Message], text: str, borders: list[int]) -> _Rendered:
        if MARK not in text:
            return _Rendered(text, borders)
        count = sum(self.control.count(message.content) for message in messages)
        return _Rendered(*self.control.aliased(text, borders), aliased=True, control_tokens=count)

    def _tokenize(self, rendered: Sequence[_Rendered]) -> list[RawEncoding]:
        plain = self.tokenizer.encode_batch(
            [each.text for each in rendered if not each.aliased], add_special_tokens=False
        )
        aliased = [each.text for each in rendered if each.aliased]
        sources = iter(plain), iter(self.control.encode(aliased) if aliased else [])
        return [next(sources[each.aliased]) for each in rendered]

    def _ids(self, rendered: _Rendered, raw: RawEncoding) -> list[int]:
        return self.control.ids_of(raw) if rendered.aliased else raw.ids

    def _document(self, raw: RawEncoding, control_tokens: int) -> Encoding:
        ids = np.array(raw.ids, dtype=np.int32)
        if self.end_id is not None and ids[-1:].tolist() != [self.end_id]:
            ids = np.append(ids, np.int32(self.end_id))
        learned = np.ones(len(ids), dtype=np.bool_)
        learned[:1] = False
        return Encoding(ids, learned, complete=True, control_tokens=control_tokens)

    def _mask(self, rendered: _Rendered, raw: RawEncoding) -> Encoding:
        ids = self._ids(rendered, raw)
        learned = np.zeros(len(ids), dtype=np.bool_)
        complete = True
        kept = len(ids)
        for start, end in zip(rendered.borders[::2], rendered.borders[1::2], strict=True):
            # A token that straddles the border belongs to the reply: "▁spam" begins with the template's space.
            first = _first_ending_after(raw, start)
            last = len(ids) if end == len(rendered.text) else _first_ending_after(raw, end)
            if self.end_id in ids[first:last]:
                last = ids.index(self.end_id, first) + 1
            else:
                complete = False
            learned[first:last] = True
            kept = last
        return Encoding(np.array(ids[:kept], dtype=np.int32), learned[:kept], complete, rendered.control_tokens)


@dataclass(frozen=True, slots=True)
class _Rendered:
    text: str
    borders: list[int]  # characters where each learned reply begins and ends, one after the other
    aliased: bool = False  # to be tokenized by ControlTokens.encode
    control_tokens: int = 0


def _first_ending_after(raw: RawEncoding, place: int) -> int:
    """The first token that ends beyond character ``place``."""
    found = raw.char_to_token(place)  # None where white space was dropped
    if found is not None:
        return int(found)
    return next((number for number, (_, end) in enumerate(raw.offsets) if end > place), len(raw))


def _check_kept(messages: Sequence[Message], covered: Sequence[Message], text: str) -> None:
    """Templates may rewrite earlier turns, never the system prompt, the last question or the reply."""
    for index in {0, max(len(covered) - 2, 0), len(covered) - 1}:
        content = covered[index].content.strip()
        if content in text or "".join(content.split()) in "".join(text.split()):
            continue
        lost = messages[index]
        raise ModelError(
            t("the chat template loses the text of a {role} message: {text}", role=lost.role, text=lost.content[:80]),
            t("pass --template FILE, or one of {names}", names=", ".join(BUILT_IN)),
        )


def open_codec(folder: Path, template: str | None = None) -> Codec:
    """The codec of the model in ``folder``; ``template`` is a file or a built-in's name. Raises ModelError."""
    files = read_tokenizer(folder)
    name, source = _template_source(files, template)
    compiled = Template(source, files.variables)
    control = ControlTokens(files.tokenizer, {text: number for text, number in files.special.items() if text})
    end_id = _end_of_reply(compiled, control)
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
        return template, read_template(path)
    if files.chat_template:
        return "model", files.chat_template
    return _template_source(files, "plain")


def _end_of_reply(template: Template, control: ControlTokens) -> int | None:
    """The first control token after a reply; None when the template closes no reply."""
    text = template.render(_PROBE)
    begins = text.find(_PROBE[1].content)
    if begins < 0:
        raise ModelError(
            t("the chat template loses the reply's text"),
            t("pass --template FILE, or one of {names}", names=", ".join(BUILT_IN)),
        )
    return control.first(text, begins + len(_PROBE[1].content))
