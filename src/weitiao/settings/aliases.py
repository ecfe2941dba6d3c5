"""The other names of our settings: what users of TRL, transformers, LLaMA-Factory, ms-swift and Axolotl write.

Only names that mean the same with the same value; what needs a change of value stands in ``foreign.py``.
"""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "data": (
        "dataset",
        "dataset_name",
        "dataset_path",
        "data_path",
        "data_files",
        "train_file",
        "train_data",
        "train_dataset",
    ),
    "dev": ("eval_dataset", "val_dataset", "dev_file", "validation_file", "eval_file", "eval_data", "validation"),
    "test": ("test_file", "test_dataset", "test_data"),
    "format": ("data_format", "file_format", "file_type"),
    "kind": ("task", "task_kind"),
    "text_column": ("text", "text_field", "dataset_text_field", "input_column"),
    "label_column": ("label", "label_field", "target_column"),
    "prompt_column": ("prompt", "prompt_field", "instruction_column"),
    "reply_column": ("reply", "response", "response_column", "completion_column", "output_column"),
    "val_size": ("val_set_size", "validation_split", "dev_size", "dev_share", "eval_size", "split_dataset_ratio"),
    "test_size": ("test_split", "test_share", "test_set_size"),
    "max_samples": ("max_rows", "num_samples", "limit"),
    "model": (
        "model_name_or_path",
        "model_name",
        "model_id",
        "model_path",
        "base_model",
        "model_id_or_path",
        "model_dir",
    ),
    "template": ("chat_template", "chat_template_path", "template_type"),
    "cutoff_len": (
        "max_length",
        "max_seq_length",
        "max_seq_len",
        "sequence_len",
        "seq_length",
        "model_max_length",
        "block_size",
    ),
    "top_layers": ("freeze_trainable_layers", "num_top_layers", "trainable_layers"),
    "lora_rank": ("lora_r", "r", "rank", "target_r"),
    "lora_alpha": ("alpha",),
    "lora_targets": ("lora_target", "target_modules", "lora_target_modules"),
    "lora_plus_ratio": ("loraplus_lr_ratio", "lorap_lr_ratio", "loraplus_ratio"),
    "virtual_tokens": ("num_virtual_tokens", "pre_seq_len"),
    "learning_rate": ("lr",),
    "epochs": ("num_train_epochs", "num_epochs", "n_epochs", "train_epochs", "max_epochs"),
    "max_steps": ("train_steps", "num_steps", "max_train_steps", "steps"),
    "batch_size": ("per_device_train_batch_size", "micro_batch_size", "train_batch_size", "per_device_batch_size"),
    "gradient_accumulation_steps": (
        "grad_accum",
        "gradient_accumulation",
        "grad_accumulation_steps",
        "accumulate_grad_batches",
    ),
    "lr_scheduler_type": ("lr_scheduler", "scheduler", "scheduler_type"),
    "warmup_ratio": ("warmup_fraction",),
    "warmup_steps": ("num_warmup_steps", "lr_warmup_steps"),
    "max_grad_norm": ("gradient_clipping", "grad_clip", "clip_grad_norm", "gradient_clip_val"),
    "packing": ("neat_packing", "sample_packing", "pack"),
    "seed": ("random_seed",),
    "threads": ("num_threads", "cpu_threads"),
    "eval_steps": ("evaluation_steps", "eval_interval", "val_check_interval"),
    "save_steps": ("checkpoint_steps", "save_interval"),
    "save_total_limit": ("keep_checkpoints", "max_checkpoints"),
    "early_stopping_patience": ("early_stopping_steps", "patience"),
    "eval_max_samples": ("max_eval_samples", "max_dev_samples"),
    "max_new_tokens": ("max_completion_length", "generation_max_new_tokens"),
    "output_dir": ("output", "output_path", "out_dir", "save_dir", "run_dir"),
    "lang": ("language",),
}
"""Other names, by the canonical one."""

CANONICAL: dict[str, str] = {alias: name for name, others in ALIASES.items() for alias in others}
"""The canonical name of each other name."""
