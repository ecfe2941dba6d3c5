"""torchtune's recipes for one device, through ``tune run``. "default" is its recipe for a small Qwen2, on the CPU and
with LoRA on every linear layer, as on the other sides."""

import re
import sys
from pathlib import Path

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.torchtune_smollm2 import convert
from benchmarks.peers.work import Work, work

MODEL = "benchmarks.peers.torchtune_smollm2"
RECIPES = {
    "lora": ["lora_finetune_single_device", "--config", "qwen2/0.5B_lora_single_device"],
    "full": ["full_finetune_single_device", "--config", "qwen2/0.5B_full_single_device"],
}
METHODS = {
    "lora": [
        f"model._component_={MODEL}.lora",
        "model.lora_attn_modules=[q_proj,k_proj,v_proj,output_proj]",
        "model.lora_rank=8",
        "model.lora_alpha=16",
        "~model.lora_dropout",
        "lr_scheduler.num_warmup_steps=1",
    ],
    "full": [f"model._component_={MODEL}.full"],
}
SETTINGS: dict[str, list[str]] = {"default": []}


def main() -> None:
    given, meter = work(), Meter()
    sys.argv = ["tune", "run", *RECIPES[given.method], *overrides(given)]
    from torchtune._cli.tune import main as run

    try:
        with meter.watching():
            run()
    except SystemExit as end:  # recipes end with it, with None when all is well
        if end.code:
            raise
    write_result(given.result, {**meter.facts(), "loss": loss(given.out), "versions": versions("torchtune", "torch")})


def overrides(given: Work) -> list[str]:
    """What is given beside the recipe's own configuration."""
    checkpoint = convert(given.model, given.home / "torchtune")
    return [
        f"output_dir={given.out}",
        f"tokenizer._component_={MODEL}.ChatTokenizer",
        f"tokenizer.path={checkpoint / 'tokenizer.json'}",
        "~tokenizer.merges_file",
        f"tokenizer.max_seq_len={given.cutoff}",
        f"checkpointer.checkpoint_dir={checkpoint}",
        "dataset._component_=torchtune.datasets.chat_dataset",
        "dataset.source=json",
        f"dataset.data_files={given.messages}",
        "dataset.conversation_column=messages",
        "dataset.conversation_style=openai",
        "dataset.train_on_input=False",
        "dataset.split=train",
        f"batch_size={given.batch}",
        "gradient_accumulation_steps=1",
        "device=cpu",
        "seed=0",
        "log_peak_memory_stats=False",
        f"optimizer.lr={given.rate}",
        *METHODS[given.method],
        *SETTINGS[given.setting],
    ]


def loss(out: Path) -> float:
    """The mean over the steps that it has logged."""
    text = next((out / "logs").glob("log_*.txt")).read_text(encoding="utf-8")
    losses = [float(value) for value in re.findall(r"loss:([\d.]+)", text)]
    return sum(losses) / len(losses)


if __name__ == "__main__":
    main()
