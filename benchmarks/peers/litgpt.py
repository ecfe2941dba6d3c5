"""LitGPT through its own command line. "default" adapts q and v alone in mixed precision and learns the prompt as well;
"best" adapts every linear layer in bfloat16 and learns the replies alone, which is the job of the others."""

import csv
import json
import shutil
import sys
from pathlib import Path

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.work import Work, work

NAME = "SmolLM2-135M-Instruct"  # of the checkpoint's folder, from which it knows the architecture
ALL_LINEAR = ["--lora_key=true", "--lora_projection=true", "--lora_mlp=true"]
BEST = ["--precision=bf16-true", "--data.mask_prompt=true"]


def main() -> None:
    given, meter = work(), Meter()
    sys.argv = ["litgpt", *command(given)]
    from litgpt.__main__ import main as run

    with meter.watching():
        run()
    with next(given.out.rglob("metrics.csv")).open(encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    found = versions("litgpt", "lightning", "torch")
    write_result(given.result, {**meter.facts(), "loss": sum(losses) / len(losses), "versions": found})


def command(given: Work) -> list[str]:
    """What would be typed after ``litgpt``."""
    data = given.out / "data"
    data.mkdir()
    rows = json.loads(given.alpaca.read_text(encoding="utf-8"))
    for name, part in (("train", rows), ("val", rows[:1])):  # it wants both
        (data / f"{name}.json").write_text(json.dumps(part, ensure_ascii=False), encoding="utf-8")
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": given.rate}}
    best = BEST + (ALL_LINEAR if given.method == "lora" else []) if given.setting == "best" else []
    return [
        "finetune_lora" if given.method == "lora" else "finetune_full",
        str(checkpoint(given)),
        f"--out_dir={given.out}",
        "--data=JSON",
        f"--data.json_path={data}",
        "--data.prompt_style=smollm2",
        "--data.num_workers=0",
        f"--train.global_batch_size={given.batch}",
        f"--train.micro_batch_size={given.batch}",
        f"--train.max_seq_length={given.cutoff}",
        "--train.epochs=1",
        "--train.lr_warmup_steps=1",
        "--train.log_interval=1",
        "--eval.interval=1000000",
        "--eval.max_new_tokens=1",
        "--eval.initial_validation=false",
        "--eval.final_validation=false",
        f"--optimizer={json.dumps(optimizer)}",
        *best,
    ]


def checkpoint(given: Work) -> Path:
    """The model in its own format, converted the first time."""
    folder = given.home / "litgpt" / NAME
    if not (folder / "lit_model.pth").exists():
        from litgpt.scripts.convert_hf_checkpoint import convert_hf_checkpoint

        shutil.copytree(given.model, folder, dirs_exist_ok=True)
        convert_hf_checkpoint(folder)
    return folder


if __name__ == "__main__":
    main()
