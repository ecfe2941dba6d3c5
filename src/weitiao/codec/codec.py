"""The codec of one model: its tokenizer and its chat template, and which tokens of a conversation are learned.

It reads the model's own files (``tokenizer.json``, ``chat_template.jinja``) and needs neither torch nor transformers:
what will be trained can be shown before anything heavy is loaded. The rendered text is tokenized whole, as
transformers, vLLM and llama.cpp do, and the prompt's tokens are those that begin the row (see seam.py); control tokens
inside a user's text stay plain text. framed.py gives the same faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding as RawEncoding
from tokenizers import Tokenizer

from weitiao.codec.control import MARK, ControlTokens
from weitiao.codec.files import TokenizerFiles, read_template, read_tokenizer
from weitiao.codec.framed import Asked, Frames
from weitiao.codec.seam import Ending, Rendered, borders_of, ending, first_ending_after, must_be_kept
from weitiao.codec.template import BUILT_IN, Template
from weitiao.errors import ModelError
from weitiao.example import Message
from weitiao.words import t

_PROBE = (Message("user", "weitiao asks"), Message("assistant", "weitiao answers"))
_LINE_CHARACTERS = 40  # of a prompt's last line, shown to people


@dataclass(frozen=True, slots=True)
class Encoding:
    """A rendered conversation as tokens."""

    tokens: NDArray[np.int32]  # [T]
    learned: NDArray[np.bool_]  # [T] whether this token is a target
    complete: bool  # every learned reply ends with the token that ends a reply
    control_tokens: int = 0  # written out in the texts, and read as plain text
    offsets: NDArray[np.int32] | None = None  # [T, 2] of a document, where asked for: the characters of each token

    @property
    def asked(self) -> int:
        """How many tokens are learned."""
        return int(np.count_nonzero(self.learned))


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """A plain text as tokens, and where each comes from."""

    tokens: NDArray[np.int32]  # [T]
    places: NDArray[np.int32]  # [T, 2] code points: first, and the one behind the last
    before: int  # control tokens with which the tokenizer begins a text; they come from nowhere in it
    behind: int  # those with which it ends one
    control_tokens: int = 0  # written out in the text, and read as plain text


@dataclass(frozen=True, slots=True)
class PlainText:
    """A plain text as tokens."""

    tokens: NDArray[np.int32]  # [T]
    whole_length: int  # of it before it was cut
    control_tokens: int = 0  # written out in the text, and read as plain text


@dataclass(frozen=True)
class Codec:
    """One model's text ↔ tokens. ``end_id`` ends a reply in the template; generation stops at any of ``stop_ids``."""

    tokenizer: Tokenizer
    template: Template
    template_name: str  # "model", a built-in's name, or the file it came from
    vocabulary: int
    bos_id: int | None
    mask_id: int | None  # the token that stands for a hidden one
    pad_id: int | None  # what transformers pads with
    end_id: int | None
    stop_ids: frozenset[int]
    control: ControlTokens = field(repr=False)

    def encode_conversations(
        self, conversations: Sequence[Sequence[Message]], every_reply: bool = True
    ) -> list[Encoding]:
        """Each conversation ends with the reply to learn. With ``every_reply`` earlier assistant turns are learned too,
        unless the template rewrites them when more turns follow (as templates do that drop earlier reasoning).

        A row begins with the very tokens of :meth:`encode_prompts`. Raises ModelError where the template prevents that.
        """
        asked: Asked = "every_reply" if every_reply else "last_reply"
        framed = self._frames.rows(conversations, asked)
        others = [messages for messages, row in zip(conversations, framed, strict=True) if row is None]
        rest = iter(self._encode_wholes(others, every_reply))
        return [next(rest) if row is None else self._encoding(*row) for row in framed]

    def encode_prompts(self, conversations: Sequence[Sequence[Message]]) -> list[NDArray[np.int32]]:
        """Each conversation up to the place where a reply begins."""
        framed = self._frames.rows(conversations, "prompt")
        others = [self._prompt(messages) for messages, row in zip(conversations, framed, strict=True) if row is None]
        rest = iter(zip(others, self._tokenize(others), strict=True))
        return [np.array(self._ids(*next(rest)) if row is None else row[0], dtype=np.int32) for row in framed]

    def encode_documents(self, texts: Sequence[str], offsets: bool = False) -> list[Encoding]:
        """Plain texts as the tokenizer begins them, closed with the end token; all but the first token are learned.

        With ``offsets`` it is also said where each token stands in its text; what the tokenizer adds stands nowhere.
        """
        raws = self._raw_texts(texts, self.tokenizer.encode_batch if offsets else self.tokenizer.encode_batch_fast)
        return [self._document(raw, count, offsets) for raw, count in raws]

    def encode_blanks(self, texts: Sequence[Sequence[str]], blank: int) -> list[NDArray[np.int32]]:
        """Plain texts in pieces, with the control token ``blank`` between each two, as the tokenizer begins and ends
        them; every other control token in them stays plain text.
        """
        name = self.control.names[blank]
        whole = [self.control.aliased(name.join(map(self.control.covered, pieces)), [])[0] for pieces in texts]
        raws = self.control.encode(whole, add_special_tokens=True)
        return [np.array(self.control.ids_of(raw), dtype=np.int32) for raw in raws]

    def encode_with_places(self, texts: Sequence[str]) -> list[TextEncoding]:
        """Plain texts as the tokenizer begins and ends them, with the place of each token."""
        return [_text_encoding(raw, count) for raw, count in self._raw_texts(texts, self.tokenizer.encode_batch)]

    def encode_texts(self, texts: Sequence[str], limit: int) -> list[PlainText]:
        """Plain texts as the tokenizer begins and ends them, and as transformers reads them without further ado.

        What is longer than ``limit`` tokens loses the end of its text, never the tokens that close it.
        """
        raws = self._raw_texts(texts, self.tokenizer.encode_batch)
        return [self._plain_text(raw, limit, count) for raw, count in raws]

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

    @cached_property
    def _frames(self) -> Frames:
        return Frames(self.tokenizer, self.template, self.control)

    def _encode_wholes(self, conversations: Sequence[Sequence[Message]], every_reply: bool) -> list[Encoding]:
        wholes = self._tokenized([self._render_with_replies(messages, every_reply) for messages in conversations])
        asked = self._asked(wholes)
        return [self._mask(whole, asked) for whole in wholes]

    def _decoded(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False)

    def _render_with_replies(self, messages: Sequence[Message], every_reply: bool) -> Rendered:
        covered = self._covered(messages)
        text, borders = borders_of(self.template.render, covered, every_reply)
        _check_kept(messages, covered, text)
        return self._aliased(messages, text, borders)

    def _prompt(self, messages: Sequence[Message]) -> Rendered:
        return self._aliased(messages, self.template.render(self._covered(messages), add_generation_prompt=True), [])

    def _covered(self, messages: Sequence[Message]) -> Sequence[Message]:
        contents = [self.control.covered(message.content) for message in messages]
        if all(content is message.content for content, message in zip(contents, messages, strict=True)):
            return messages
        return [Message(message.role, content) for message, content in zip(messages, contents, strict=True)]

    def _aliased(self, messages: Sequence[Message], text: str, borders: list[int]) -> Rendered:
        if MARK not in text:
            return Rendered(text, borders)
        count = sum(self.control.count(message.content) for message in messages)
        return Rendered(*self.control.aliased(text, borders), aliased=True, control_tokens=count)

    def _tokenize(self, rendered: Sequence[Rendered]) -> list[RawEncoding]:
        plain = self.tokenizer.encode_batch(
            [each.text for each in rendered if not each.aliased], add_special_tokens=False
        )
        aliased = [each.text for each in rendered if each.aliased]
        sources = iter(plain), iter(self.control.encode(aliased) if aliased else [])
        return [next(sources[each.aliased]) for each in rendered]

    def _ids(self, rendered: Rendered, raw: RawEncoding) -> list[int]:
        return self.control.ids_of(raw) if rendered.aliased else raw.ids

    def _raw_texts(
        self, texts: Sequence[str], encode_batch: Callable[[list[str]], list[RawEncoding]]
    ) -> Iterator[tuple[RawEncoding, int]]:
        """Each text encoded, and how many control tokens are written out in it."""
        counts = [self.control.count(text) for text in texts]
        seen = iter(encode_batch([text for text, count in zip(texts, counts, strict=True) if not count]))
        blind = [text for text, count in zip(texts, counts, strict=True) if count]
        unseen = iter(self.control.encode(blind, add_special_tokens=True) if blind else [])
        return ((next(unseen if count else seen), count) for count in counts)

    def _document(self, raw: RawEncoding, control_tokens: int, offsets: bool) -> Encoding:
        ids = np.array(raw.ids, dtype=np.int32)
        places = np.array(raw.offsets, dtype=np.int32).reshape(-1, 2) if offsets else None
        if self.end_id is not None and ids[-1:].tolist() != [self.end_id]:
            ids = np.append(ids, np.int32(self.end_id))
            places = None if places is None else np.append(places, np.zeros((1, 2), dtype=np.int32), axis=0)
        learned = np.ones(len(ids), dtype=np.bool_)
        learned[:1] = False
        return Encoding(ids, learned, complete=True, control_tokens=control_tokens, offsets=places)

    def _plain_text(self, raw: RawEncoding, limit: int, control_tokens: int) -> PlainText:
        ids, closing = raw.ids, 0
        while closing < len(ids) and raw.special_tokens_mask[-1 - closing]:
            closing += 1
        if len(ids) > limit:
            ids = [*ids[: max(limit - closing, 0)], *ids[len(ids) - closing :]][:limit]
        while len(ids) > 1 and ids[-1] == self.pad_id:  # transformers reads at the last token that is no padding
            ids = ids[:-1]
        return PlainText(np.array(ids, dtype=np.int32), len(raw.ids), control_tokens)

    def _tokenized(self, rendered: Sequence[Rendered]) -> list[_Whole]:
        wholes = []
        for each, raw in zip(rendered, self._tokenize(rendered), strict=True):
            ids = self._ids(each, raw)
            endings = [ending(each, raw, ids, start, self.control) for start in each.borders[::2]]
            wholes.append(_Whole(each, raw, ids, endings))
        return wholes

    def _asked(self, wholes: Sequence[_Whole]) -> dict[Ending, list[int]]:
        """The tokens of each prompt's ending when it stands alone. Most rows share one."""
        endings = list(dict.fromkeys(each for whole in wholes for _, each in whole.endings))
        alone = [Rendered(each.text, [], each.aliased) for each in endings]
        found = [self._ids(*pair) for pair in zip(alone, self._tokenize(alone), strict=True)]
        return dict(zip(endings, found, strict=True))

    def _mask(self, whole: _Whole, asked: Mapping[Ending, list[int]]) -> Encoding:
        ids = whole.ids
        spans: list[tuple[int, int]] = []
        for (number, prompt), end in zip(whole.endings, whole.rendered.borders[1::2], strict=True):
            first = number + len(asked[prompt])
            last = end == len(whole.rendered.text)
            if ids[number:first] == asked[prompt]:
                spans.append((first, len(ids) if last else first_ending_after(whole.raw, end)))
            elif last:  # an earlier one is then read and not learned: in use, too, it stands in one text
                ids = self._parted(whole, [*ids[:number], *asked[prompt]])
                spans = [span for span in spans if ids[: span[1]] == whole.ids[: span[1]]]
                spans.append((first, len(ids)))
        return self._encoding(ids, spans, whole.rendered.control_tokens)

    def _encoding(self, ids: list[int], spans: Sequence[tuple[int, int]], control_tokens: int = 0) -> Encoding:
        """What is learned of ``ids``: within each of ``spans`` up to the token that ends a reply."""
        learned = np.zeros(len(ids), dtype=np.bool_)
        complete, kept = True, len(ids)
        for first, kept in spans:
            try:
                kept = ids.index(self.end_id, first, kept) + 1  # type: ignore[arg-type]  # None is in no list
            except ValueError:
                complete = False
            learned[first:kept] = True
        return Encoding(np.array(ids[:kept], dtype=np.int32), learned[:kept], complete, control_tokens)

    def _parted(self, whole: _Whole, prompt: list[int]) -> list[int]:
        """The tokens of ``prompt``, and those of the last reply by itself. ModelError for what the template does."""
        if self._joining_end:
            raise ModelError(
                t(
                    "asked for a reply after “{end}”, the model would read other tokens than it learned: "
                    "the tokenizer joins that with the reply",
                    end=repr(self._joining_end)[1:-1],
                ),
                t(
                    "move the white space from the end of the template's generation prompt to the beginning of the "
                    "reply, or pass --template plain or chatml"
                ),
            )
        rendered = whole.rendered
        # Behind a control token the reply is tokenized as it is inside a text: no space is put before it.
        opener = "" if self.end_id is None else self.control.written(self.end_id, rendered.aliased)
        reply = Rendered(opener + rendered.text[rendered.borders[-2] :], [], rendered.aliased)
        rest = self._ids(reply, self._tokenize([reply])[0])
        ids = [*prompt, *rest[bool(opener) :]]
        if self._decoded(ids) != self._decoded(whole.ids):
            raise ModelError(
                t(
                    "the tokenizer joins the reply's beginning with the prompt: {text}",
                    text=repr(reply.text[len(opener) :][:80]),
                ),
                t("begin the reply with a letter, or pass another --template"),
            )
        return ids

    @cached_property
    def _joining_end(self) -> str:
        """How the prompt ends when the tokenizer joins that even with plain words; empty when it does not."""
        (whole,) = wholes = self._tokenized([self._render_with_replies(_PROBE, every_reply=False)])
        ((number, prompt),) = whole.endings
        alone = self._asked(wholes)[prompt]
        return "" if whole.ids[number : number + len(alone)] == alone else _last_line(prompt.text)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A rendered conversation, tokenized as one text."""

    rendered: Rendered
    raw: RawEncoding
    ids: list[int]
    endings: list[tuple[int, Ending]]  # of the prompt of each learned reply: the number of its first token, and it


def _text_encoding(raw: RawEncoding, control_tokens: int) -> TextEncoding:
    tokens, places = np.array(raw.ids, dtype=np.int32), np.array(raw.offsets, dtype=np.int32).reshape(-1, 2)
    own = np.flatnonzero(np.array(raw.special_tokens_mask, dtype=np.int32) == 0)
    before, behind = (int(own[0]), len(tokens) - 1 - int(own[-1])) if len(own) else (len(tokens), 0)
    return TextEncoding(tokens, places, before, behind, control_tokens)


def _last_line(text: str) -> str:
    """The last line with a word in it, and what white space follows."""
    return text[text.rfind("\n", 0, len(text.rstrip())) + 1 :][-_LINE_CHARACTERS:]


def _check_kept(messages: Sequence[Message], covered: Sequence[Message], text: str) -> None:
    for index in must_be_kept(messages):
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
        mask_id=files.mask_id,
        pad_id=files.pad_id,
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
