"""The loss on held-out chats with transformers alone, over the very tokens that Weitiao's own scoring asks."""

from pathlib import Path
from typing import Any

import torch

from benchmarks.peers.work import read_chats


@torch.no_grad()
def heldout_loss(model: Any, tokenizer: Any, path: Path, cutoff: int) -> float:
    """Nats a token of the replies, each with the token that ends it."""
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    for chat in read_chats(path):
        tokens = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"]
        prompt = tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
        end = len(tokens) - tokens[::-1].index(tokenizer.eos_token_id)  # behind it templates write a line break
        if end > cutoff:
            raise ValueError(f"a held-out row has {end} tokens, over {cutoff}")
        targets = torch.tensor(tokens[len(prompt) : end])
        logits = model(input_ids=torch.tensor([tokens[: end - 1]])).logits[0, len(prompt) - 1 :]
        total += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
        count += len(targets)
    model.train(was_training)
    return total / count
