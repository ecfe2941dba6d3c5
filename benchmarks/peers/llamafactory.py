"""LLaMA-Factory through ``run_exp``, which is what ``llamafactory-cli train`` calls.

"default" is its example for LoRA; "best" adds what was found fastest on a CPU.
"""

import json
import shutil
import sys
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import Any

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.work import Work, mean_loss, work

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "best": {"packing": True, "neat_packing": True, "disable_gradient_checkpointing": True},
}


def main() -> None:
    given, meter = work(), Meter()
    # It imports torchaudio whatever is trained, and torchaudio wants the CUDA build of torch.
    sys.modules["torchaudio"] = module_from_spec(ModuleSpec("torchaudio", None))
    from llamafactory.train.tuner import run_exp

    with meter.watching():
        run_exp(config(given))
    state = json.loads((given.out / "trainer_state.json").read_text(encoding="utf-8"))
    loss = mean_loss(state["log_history"])
    found = versions("llamafactory", "transformers", "peft", "torch")
    write_result(given.result, {**meter.facts(), "loss": loss, "versions": found})


def config(given: Work) -> dict[str, Any]:
    """What would stand in its YAML file."""
    data = given.out / "data"
    data.mkdir()
    shutil.copy(given.alpaca, data / "rows.json")
    (data / "dataset_info.json").write_text('{"rows": {"file_name": "rows.json"}}', encoding="utf-8")
    adapter = {"lora_rank": 8, "lora_target": "all"} if given.method == "lora" else {}
    return {
        "model_name_or_path": str(given.model),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": given.method,
        "template": "smollm2",
        "dataset": "rows",
        "dataset_dir": str(data),
        "cutoff_len": given.cutoff,
        "output_dir": str(given.out),
        "overwrite_cache": True,
        "per_device_train_batch_size": given.batch,
        "gradient_accumulation_steps": 1,
        "learning_rate": given.rate,
        "num_train_epochs": 1.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "bf16": True,
        "use_cpu": True,  # without it, bf16 is refused on a machine without a GPU
        "logging_steps": 1,
        "report_to": "none",
        **adapter,
        **SETTINGS[given.setting],
    }


if __name__ == "__main__":
    main()
