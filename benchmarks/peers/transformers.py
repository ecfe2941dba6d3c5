"""Closed-set answers with transformers alone, in the environment of TRL.

"generate" writes each answer out, one row at a time, as most scripts do; "batched" reads the first token of each
category off a padded batch, in file order; "best" sorts the rows by length and asks for no other logits.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.work import read_chats, work

TOGETHER = 64  # rows of a batch


def main() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    given, meter = work(), Meter()
    dtype = torch.float32 if given.setting == "generate" else torch.bfloat16
    tokenizer = AutoTokenizer.from_pretrained(given.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=dtype).eval()
    chats = read_chats(given.messages)
    categories = sorted({chat[-1]["content"] for chat in chats})
    prompts = [chat[:-1] for chat in chats]
    meter.begin()
    with torch.inference_mode():
        if given.setting == "generate":
            answers = written(model, tokenizer, prompts, categories)
        else:
            answers = read_off(model, tokenizer, prompts, categories, given.setting == "best")
    meter.step()
    write_result(given.result, {**meter.facts(), "answers": answers, "versions": versions("transformers", "torch")})


def written(model: Any, tokenizer: Any, prompts: Sequence[Any], categories: Sequence[str]) -> list[str]:
    """Each answer written out, no longer than a category and its end; empty where it is none of them."""
    longest = max(len(tokenizer.encode(name, add_special_tokens=False)) for name in categories)
    answers = []
    for prompt in prompts:
        inputs = tokenized(tokenizer, [prompt])
        output = model.generate(**inputs, max_new_tokens=longest + 1, do_sample=False)[0]
        text = tokenizer.decode(output[inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        answers.append(next((name for name in categories if text.startswith(name)), ""))
    return answers


def read_off(model: Any, tokenizer: Any, prompts: Sequence[Any], categories: Sequence[str], best: bool) -> list[str]:
    """The category whose first token is the likeliest."""
    first = [tokenizer.encode(name, add_special_tokens=False)[0] for name in categories]
    if len(set(first)) < len(first):
        raise ValueError(f"categories begin alike: {categories}")
    answers = [""] * len(prompts)
    lengths = [len(ids) for ids in tokenizer.apply_chat_template(prompts, add_generation_prompt=True)["input_ids"]]
    order = sorted(range(len(prompts)), key=lambda index: lengths[index]) if best else range(len(prompts))
    for group in batches(order):
        inputs = tokenized(tokenizer, [prompts[index] for index in group])
        logits = model(**inputs, logits_to_keep=1 if best else 0).logits[:, -1]
        for index, choice in zip(group, logits[:, first].argmax(dim=-1).tolist(), strict=True):
            answers[index] = categories[choice]
    return answers


def batches(order: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), TOGETHER):
        yield order[start : start + TOGETHER]


def tokenized(tokenizer: Any, prompts: Sequence[Any]) -> Any:
    return tokenizer.apply_chat_template(
        prompts, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
    )


if __name__ == "__main__":
    main()
