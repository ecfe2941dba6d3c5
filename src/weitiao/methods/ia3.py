"""(IA)³ (Liu et al., 2022, arXiv:2205.05638): keys, values and the gated unit's inside are scaled, number by number.

The fewest weights of all methods that reach every block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from peft import IA3Config, PeftModel, TaskType, get_peft_model
from transformers import PreTrainedModel

from weitiao.errors import SettingsError
from weitiao.methods.lora import transposed
from weitiao.models.anatomy import ADAPTER, linear_names
from weitiao.models.chatter import silenced
from weitiao.words import t

_PLACES = (  # the layers whose output is scaled, and the one whose input is, by the names that families give them
    (("k_proj", "v_proj"), "down_proj"),
    (("c_attn",), "mlp.c_proj"),
    (("query_key_value",), "dense_4h_to_h"),
    (("qkv_proj",), "down_proj"),
    (("k_proj", "v_proj"), "fc2"),
    (("k_proj", "v_proj"), "fc_out"),
)


@dataclass(frozen=True)
class IA3:
    """Factors, one for each number of the keys, the values and the unit's inside; all begin at one."""

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> PeftModel:
        """The model with its factors; nothing is drawn. Raises SettingsError where the layers have unknown names."""
        there = set(linear_names(model))
        found = next((place for place in _PLACES if {*place[0], place[1].rpartition(".")[2]} <= there), None)
        if found is None:
            raise SettingsError(
                t("method ia3 does not know the layers of this model: {names}", names=", ".join(sorted(there))),
                t("use method lora"),
            )
        scaled, inner = found
        config = IA3Config(
            task_type=TaskType.CAUSAL_LM,
            target_modules=[*scaled, inner],
            feedforward_modules=[inner],
            fan_in_fan_out=transposed(model),
        )
        with silenced():
            return cast(PeftModel, get_peft_model(model, config, adapter_name=ADAPTER))

    def resume(self, model: PeftModel) -> PeftModel:
        """The model whose own factors go on learning."""
        model.set_adapter(ADAPTER)
        return model
