"""TRL's SFTTrainer with PEFT. "default" is what its documentation shows; "best" the fastest flags found for a CPU."""

from dataclasses import dataclass
from typing import Any

from benchmarks.meter import Meter, versions, write_result
from benchmarks.peers.heldout import heldout_loss
from benchmarks.peers.work import Work, mean_loss, read_chats, work


@dataclass(frozen=True, slots=True)
class Setting:
    """Beyond the defaults: of SFTConfig, and how the weights are held."""

    flags: dict[str, Any]
    weights: str = "float32"


SETTINGS = {
    "default": Setting({}),
    "fp32": Setting({"bf16": False}),
    "best": Setting({"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"}, "bfloat16"),
}


def main() -> None:
    given, meter = work(), Meter()
    trainer = make_trainer(given, SETTINGS[given.setting])
    model, tokenizer = trainer.model, trainer.processing_class
    scored = given.data / "dev.jsonl"
    before = heldout_loss(model, tokenizer, scored, given.cutoff) if given.heldout else None
    with meter.watching():
        trainer.train()
    write_result(
        given.result,
        {
            **meter.facts(),
            "loss": mean_loss(trainer.state.log_history),
            "heldout_before": before,
            "heldout_after": heldout_loss(model, tokenizer, scored, given.cutoff) if given.heldout else None,
            "trained": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
            "bf16_autocast": trainer.args.bf16,
            "checkpointing": trainer.args.gradient_checkpointing,
            "attention": model.config._attn_implementation,
            "versions": versions("trl", "transformers", "peft", "torch"),
        },
    )


def make_trainer(given: Work, setting: Setting) -> Any:
    """A trainer that learns the replies, like ours: prompt and completion apart, loss on the completion."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    rows = [{"prompt": chat[:-1], "completion": chat[-1:]} for chat in read_chats(given.messages)]
    config = SFTConfig(
        output_dir=str(given.out),
        per_device_train_batch_size=given.batch,
        max_length=given.cutoff,
        num_train_epochs=1,
        learning_rate=given.rate,
        use_cpu=True,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        model_init_kwargs={"dtype": setting.weights},
        **setting.flags,
    )
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    return SFTTrainer(
        model=str(given.model),
        args=config,
        train_dataset=Dataset.from_list(rows),
        peft_config=lora if given.method == "lora" else None,
    )


if __name__ == "__main__":
    main()
