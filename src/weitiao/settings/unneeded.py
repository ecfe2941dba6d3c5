"""Names of other trainers that Weitiao has no setting for: those it does not need, and those it cannot do.

Separate because it is a long list of facts and no code: why each name may be dropped, or what to do instead.
"""

from __future__ import annotations

from functools import cache

from weitiao.words import Language, language, t

_SWITCHES = """
    bf16 fp16 fp32 pure_bf16 tf32 use_peft do_train do_eval do_predict train_on_prompt train_on_inputs mask_history
    assistant_only_loss completion_only_loss lora_target_linear overwrite_output_dir overwrite_cache plot_loss
    save_only_model trust_remote_code gradient_checkpointing disable_gradient_checkpointing use_fast_tokenizer
    load_best_model_at_end greater_is_better predict_with_generate push_to_hub load_in_4bit load_in_8bit
    double_quantization use_dora use_rslora pissa_init use_galore use_apollo use_badam use_muon use_unsloth
    enable_liger_kernel use_liger_kernel flash_attention group_by_length streaming resize_vocab disable_tqdm
    logging_first_step use_cpu no_cuda low_cpu_mem_usage shift_attn remove_unused_columns
    include_num_input_tokens_seen ddp_find_unused_parameters dataloader_pin_memory dataloader_drop_last
    peft_use_dora peft_use_rslora pissa_convert eval_on_start compute_accuracy use_llama_pro disable_shuffling
    split_special_tokens
"""
SWITCHES = frozenset(_SWITCHES.split())
"""Foreign names that may stand alone on the command line, for yes."""

_LOGGING = """
    logging_steps logging_dir logging_strategy logging_first_step plot_loss log_level disable_tqdm run_name
    include_num_input_tokens_seen logging_nan_inf_filter greater_is_better wandb_project wandb_entity swanlab_project
"""
_CACHES = "overwrite_cache preprocessing_batch_size"
_WORKERS = """
    preprocessing_num_workers dataloader_num_workers dataset_num_proc dataloader_pin_memory dataloader_prefetch_factor
    dataloader_persistent_workers dataloader_drop_last
"""
_REMOTE_CODE = "trust_remote_code trust_remote_code_data"
_PROCESSES = """
    ddp_timeout ddp_find_unused_parameters ddp_backend local_rank ddp_bucket_cap_mb ray_run_name ray_num_workers
"""
_VERBS = "do_train do_eval do_predict"
_SCORING_BATCH = "per_device_eval_batch_size eval_batch_size eval_accumulation_steps"
_CHECKPOINTS = "save_only_model save_strategy save_safetensors load_best_model_at_end"
_MEASURES = "predict_with_generate compute_accuracy eval_on_start eval_on_each_dataset"
_CALCULATION = """
    gradient_checkpointing disable_gradient_checkpointing use_reentrant_gc gradient_checkpointing_kwargs flash_attn
    flash_attention attn_implementation use_unsloth enable_liger_kernel use_liger_kernel low_cpu_mem_usage tf32
    group_by_length auto_find_batch_size use_cache upcast_layernorm upcast_lmhead_output torch_compile infer_backend
"""
_DEVICE = "use_cpu no_cuda device device_map"
_DOWNLOADS = "cache_dir hf_hub_token ms_hub_token om_hub_token hub_token token use_modelscope"
_MODEL_FOLDER = "model_type tokenizer_type tokenizer_name use_fast_tokenizer config_name model_revision"
_COLUMNS = "remove_unused_columns column_mapping"
_ORDER = "streaming buffer_size mix_strategy data_seed shuffle"
_PADDING = "ignore_pad_token_for_loss split_special_tokens padding_side pad_to_multiple_of"
_PICTURES = """
    freeze_vision_tower freeze_multi_modal_projector freeze_language_model media_dir image_max_pixels image_min_pixels
    video_max_pixels video_min_pixels video_fps video_maxlen image_resolution video_resolution
"""
_REPLIES = "enable_thinking tool_format"
_SHARDING = """
    deepspeed fsdp fsdp_config fsdp_transformer_layer_cls_to_wrap accelerator_config tensor_parallel_size
"""
_QUANTIZATION = """
    quantization_bit quantization_method quantization_type double_quantization load_in_4bit load_in_8bit
    quantization_device_map quant_method quant_bits bnb_4bit_compute_dtype bnb_4bit_quant_type
    bnb_4bit_use_double_quant
"""
_CONVERSION = "pissa_convert pissa_iter loraplus_lr_embedding"
_LORA_KINDS = """
    additional_target modules_to_save lora_modules_to_save create_new_adapter oft_rank oft_target
"""
_OPTIMIZERS = """
    use_galore use_apollo use_badam use_muon use_adam_mini optim_args adafactor adam_beta1 adam_beta2 adam_epsilon
"""
_PREFERENCES = """
    pref_beta pref_ftx pref_loss dpo_label_smoothing kto_chosen_weight kto_rejected_weight simpo_gamma ref_model
    ref_model_adapters reward_model reward_model_type ppo_epochs ppo_target rl rlhf_type beta
"""
_SURGERY = """
    resize_vocab new_special_tokens add_tokens add_special_tokens special_tokens rope_scaling shift_attn
    mixture_of_depths use_llama_pro freeze_trainable_modules freeze_extra_modules
"""
_UPLOADS = "push_to_hub hub_model_id hub_strategy push_to_hub_model_id hub_private_repo"
_LOSSES = """
    neftune_noise_alpha noisy_embedding label_smoothing_factor use_dft_loss use_asft_loss use_eaft_loss
    disable_shuffling interleave_probs lr_scheduler_kwargs
"""
_SYSTEM = "default_system system"
_TOKENIZED = "tokenized_path dataset_prepared_path"


def unneeded() -> dict[str, str]:
    """Why each of these names may be dropped, in the current language, by name."""
    return _unneeded(language())


def unsupported() -> dict[str, str]:
    """What to do instead of each of these names, in the current language, by name."""
    return _unsupported(language())


@cache
def _unneeded(_: Language) -> dict[str, str]:
    return _by_name(
        {
            _LOGGING: t("not needed: every step is logged, and the curve is in the report"),
            _CACHES: t("not needed: the data are read again whenever they have changed"),
            _WORKERS: t("not needed: the threads are chosen for this machine; see the setting threads"),
            _REMOTE_CODE: t("not needed: no remote code is ever run"),
            _PROCESSES: t("not needed: there is one process"),
            _VERBS: t("not needed: training is what this command does"),
            _SCORING_BATCH: t("not needed: scoring runs in batches of its own size"),
            _CHECKPOINTS: t("not needed: a checkpoint always holds what resuming needs, and the best one is kept"),
            _MEASURES: t("not needed: the task decides what is measured, before and after"),
            _CALCULATION: t("not needed: how the model is calculated is decided from the machine and the memory"),
            _DEVICE: t("not needed: the device is what the machine has; hide a GPU with CUDA_VISIBLE_DEVICES="),
            _DOWNLOADS: t("not needed: nothing is downloaded here; see weitiao samples"),
            _MODEL_FOLDER: t("not needed: read from the model's own folder"),
            _COLUMNS: t("not needed: the columns that are used are found and said"),
            _ORDER: t("not needed: data are always read as a stream and mixed by the seed"),
            _PADDING: t("not needed: padding is never learned, and text never becomes a control token"),
            _PICTURES: t("not needed: only texts are learned"),
            _REPLIES: t("not needed: replies are learned as they stand in the data"),
            _CONVERSION: t("not needed: the result is always plain LoRA on the untouched base"),
        }
    )


@cache
def _unsupported(_: Language) -> dict[str, str]:
    return _by_name(
        {
            _SHARDING: t("delete it: training runs in one process here; weitiao plan says whether the model fits"),
            _QUANTIZATION: t("delete it, and the weights stay in bf16 or fp32; or take a smaller model"),
            _LORA_KINDS: t("delete it: LoRA stands beside linear layers of the blocks, and nothing else learns"),
            _OPTIMIZERS: t("delete it: the optimizer is AdamW"),
            _PREFERENCES: t("delete it: training by preference or reward is not offered yet"),
            _SURGERY: t("delete it: the model is trained as its folder describes it"),
            _UPLOADS: t("delete it: nothing is uploaded"),
            _LOSSES: t("delete it: the loss is plain cross-entropy over the tokens that are learned"),
            _SYSTEM: t("delete it, and give each row its own system message in the data"),
            _TOKENIZED: t("delete it, and give the data as they were before tokenizing"),
        }
    )


def _by_name(reasons: dict[str, str]) -> dict[str, str]:
    return {name: text for names, text in reasons.items() for name in names.split()}
