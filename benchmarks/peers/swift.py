"""ms-swift through ``sft_main``, which is what ``swift sft`` runs. "default" is what its documentation shows for LoRA;
"best" adds what was found fastest on a CPU."""

import json
from typing import Any

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.work import Work, mean_loss, work

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"  # its chatml template would drop it
METHODS = {
    "lora": ["--tuner_type=lora", "--lora_rank=8", "--lora_alpha=16", "--target_modules=all-linear"],
    "full": ["--tuner_type=full"],
}
SETTINGS = {
    "default": [],
    "best": [
        "--torch_dtype=bfloat16",
        "--gradient_checkpointing=false",
        "--train_sampling_strategy=group_by_length",
    ],
}


def main() -> None:
    given, meter = work(), Meter()
    from swift.pipelines import sft_main

    with meter.watching():
        sft_main([word for flag in flags(given) for word in flag.split("=", 1)])
    found = versions("ms-swift", "transformers", "peft", "torch")
    write_result(given.result, {**meter.facts(), "loss": mean_loss(history(given)), "versions": found})


def flags(given: Work) -> list[str]:
    """What would be typed after ``swift sft``."""
    return [
        f"--model={given.model}",
        f"--dataset={given.messages}",
        "--model_type=llama",
        "--template=chatml",
        f"--system={SYSTEM}",
        f"--output_dir={given.out}",
        f"--max_length={given.cutoff}",
        f"--per_device_train_batch_size={given.batch}",
        "--gradient_accumulation_steps=1",
        f"--learning_rate={given.rate}",
        "--num_train_epochs=1",
        "--split_dataset_ratio=0",
        "--dataset_num_proc=1",
        "--dataloader_num_workers=0",
        "--logging_steps=1",
        "--report_to=none",
        "--use_cpu=true",
        *METHODS[given.method],
        *SETTINGS[given.setting],
    ]


def history(given: Work) -> list[dict[str, Any]]:
    """What its trainer has logged."""
    lines = next(given.out.rglob("logging.jsonl")).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
