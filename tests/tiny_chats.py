"""Chat templates in the manner of well-known families, tokenizers of two kinds, and hard conversations.

Separate because the codec's tests and those of the objectives and of ``check`` all need them.
"""

import json
from pathlib import Path

import tiny
from weitiao.example import Message

CHATML = tiny.CHAT_TEMPLATE
WITH_SYSTEM = (  # a system turn where there is none, as SmolLM2 has it
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TRIMMED = (  # BOS of its own, trimmed contents, set blocks, as Llama 3 has it
    "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|im_start|>' + message['role'] + '\n\n' + message['content'] | trim + '<|im_end|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
)
STRICT = (  # other role names, refuses a wrong order, joins the system turn to the first question, as Gemma has it
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set first = messages[0]['content'] + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for message in turns %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<|im_start|>' + role + '\n' + (first if loop.first else '') + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
)
INSTRUCT = (  # turns without control tokens of their own but for the end, as Mistral has it
    "{{ bos_token }}{% for message in messages %}{% if message.role == 'assistant' %}"
    "{{ ' ' ~ message.content ~ eos_token }}{% else %}{{ '[INST] ' ~ message.content ~ ' [/INST]' }}{% endif %}"
    "{% endfor %}"
)
FORGETFUL = (  # drops the reasoning of earlier replies, writes an empty one into the last, macros, as Qwen3 has it
    "{%- macro shown(content) -%}{{ content }}{%- endmacro -%}"
    "{%- set ns = namespace(last=-1) -%}"
    "{%- for message in messages -%}{%- if message.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}"
    "{%- endfor -%}"
    "{%- for message in messages -%}{%- set content = message.content if message.content is string else '' -%}"
    "{%- if message.role == 'assistant' -%}"
    "{%- set reasoning = '' -%}{%- if '</think>' in content -%}"
    "{%- set reasoning = content.split('</think>')[0].split('<think>')[-1].strip('\n') -%}{%- endif -%}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') -%}"
    "{{- '<|im_start|>' + message.role + '\n' -}}"
    "{%- if loop.index0 > ns.last -%}{{- '<think>\n' + reasoning + '\n</think>\n\n' -}}{%- endif -%}"
    "{{- shown(content) + '<|im_end|>\n' -}}"
    "{%- else -%}{{- '<|im_start|>' + message.role + '\n' + shown(content) + '<|im_end|>\n' -}}{%- endif -%}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
TEMPLATES = {
    "chatml": CHATML, "with_system": WITH_SYSTEM, "trimmed": TRIMMED, "strict": STRICT, "instruct": INSTRUCT,
    "forgetful": FORGETFUL,
}  # fmt: skip

QUESTION, ANSWER = Message("user", "What is the capital of France?"), Message("assistant", "Paris.")
CONVERSATIONS = {
    "short": (QUESTION, ANSWER),
    "system": (Message("system", "Answer with one word."), QUESTION, ANSWER),
    "turns": (QUESTION, ANSWER, Message("user", "你什么时候回家？"), Message("assistant", "明天下午三点。")),
    "chinese": (Message("user", "今天天气很好，我们去公园散步吧。"), Message("assistant", "好的，谢谢。")),
    "emoji": (Message("user", "👩‍👩‍👧‍👦 and 🇨🇳?"), Message("assistant", "😀 ok 👍🏽")),
    "lines": (Message("user", "one\n\ntwo\t three"), Message("assistant", "four\n  five")),
    "spaces": (Message("user", "  before and after  "), Message("assistant", "spam")),
    "braces": (Message("user", "{{ messages }} {% for %} [INST] <b>?"), Message("assistant", "{# no #}")),
}


def byte_level(folder: Path, template: str | None = CHATML) -> Path:
    """The tiny tokenizer with another chat template, and ``<|endoftext|>`` as BOS."""
    tiny.tiny_tokenizer(folder)
    return with_config(folder, template, bos_token="<|endoftext|>")


def metaspace(folder: Path, template: str | None = CHATML) -> Path:
    """A tokenizer in SentencePiece's manner, which begins a text with ``▁`` and adds a BOS: Llama 2 and Mistral."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)  # type: ignore[assignment]
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)  # type: ignore[assignment]
    special = ["<unk>", "<s>", "<|im_end|>", "<|im_start|>"]
    names = [*special, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=names, show_progress=False)
    tokenizer.train_from_iterator(tiny.SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in special]
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token="<s>",
        eos_token="<|im_end|>",
        unk_token="<unk>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
    return with_config(folder, template)


def with_config(folder: Path, template: str | None, **names: str) -> Path:
    """Give the tokenizer in ``folder`` another chat template (None: none) and other named tokens."""
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text(encoding="utf-8")), **names}), encoding="utf-8")
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    return folder
