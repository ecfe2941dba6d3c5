"""Generation: token by token from a prompt, with transformers' own decoding, and the settings that choose a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from weitiao.codec import Codec
from weitiao.models.anatomy import Model, plain
from weitiao.models.virtual import cache_of, virtual_pairs, virtual_tokens


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Temperature 0 takes the likeliest; the filters apply in the order written here."""

    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_new_tokens: int = 256
    seed: int = 0


def generate(
    model: Model,
    codec: Codec,
    prompts: Sequence[NDArray[np.int32]],
    sampling: Sampling,
    on_text: Callable[[str], None] | None = None,
    on_token: Callable[[], None] | None = None,
) -> list[str]:
    """The reply to each prompt, all in one batch. ``on_text`` gets the pieces of a single reply as they come.

    ``on_token`` is called after each forward pass. What either of them raises ends the generation.
    """
    length, virtual = max(len(prompt) for prompt in prompts), virtual_tokens(model)
    if virtual and min(len(prompt) for prompt in prompts) < length and _has_window(model):
        # A window counts places, and padding lies between virtual tokens and prompt: alone, no prompt has any.
        return [generate(model, codec, [prompt], sampling, on_text, on_token)[0] for prompt in prompts]
    pad = min(codec.stop_ids, default=0)
    tokens = np.full((len(prompts), length), pad, dtype=np.int64)
    mask = np.zeros((len(prompts), virtual + length), dtype=np.int64)
    mask[:, :virtual] = 1
    for number, prompt in enumerate(prompts):
        tokens[number, length - len(prompt) :] = prompt
        mask[number, virtual + length - len(prompt) :] = 1
    model.eval()
    device = next(model.parameters()).device
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(sampling.seed)
        output = plain(model).generate(  # type: ignore[operator]
            input_ids=torch.from_numpy(tokens).to(device),
            attention_mask=torch.from_numpy(mask).to(device),
            past_key_values=cache_of(virtual_pairs(model), len(prompts)) if virtual else None,
            generation_config=_configuration(sampling, codec, pad),
            streamer=_TextStreamer(codec, on_text) if on_text else None,
            stopping_criteria=StoppingCriteriaList([_Watched(on_token)] if on_token else []),
        )
    return [_reply(row[length:].tolist(), codec) for row in output]


def _configuration(sampling: Sampling, codec: Codec, pad: int) -> GenerationConfig:
    chosen = {}
    if sampling.temperature > 0:
        chosen = {
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p or None,
        }
    return GenerationConfig(
        do_sample=sampling.temperature > 0,
        max_new_tokens=sampling.max_new_tokens,
        repetition_penalty=sampling.repetition_penalty,
        eos_token_id=sorted(codec.stop_ids) or None,
        pad_token_id=pad,
        **chosen,
    )


def _has_window(model: Model) -> bool:
    return bool(plain(model).config.to_dict().get("sliding_window"))


def _reply(tokens: list[int], codec: Codec) -> str:
    ends = [index for index, token in enumerate(tokens) if token in codec.stop_ids]
    return codec.decode(tokens[: ends[0]] if ends else tokens)


class _Watched(StoppingCriteria):
    """Ends nothing; transformers asks it after each token."""

    def __init__(self, on_token: Callable[[], None]) -> None:
        self._on_token = on_token

    def __call__(self, input_ids: torch.Tensor, scores: object, **_: object) -> torch.Tensor:  # type: ignore[override]
        self._on_token()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _TextStreamer(BaseStreamer):
    """Hands on text as soon as its characters are whole."""

    def __init__(self, codec: Codec, on_text: Callable[[str], None]) -> None:
        self._codec = codec
        self._on_text = on_text
        self._tokens: list[int] = []
        self._shown = 0
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:  # transformers sends the prompt first
            self._prompt_seen = True
            return
        self._tokens += [token for token in value.flatten().tolist() if token not in self._codec.stop_ids]
        text = self._codec.decode(self._tokens)
        if not text.endswith("\ufffd"):
            self._on_text(text[self._shown :])
            self._shown = len(text)

    def end(self) -> None:
        self._on_text(self._codec.decode(self._tokens)[self._shown :])
