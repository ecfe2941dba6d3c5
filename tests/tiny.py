"""Small real things for tests: a tokenizer of twenty sentences, random two-layer models of each family, thirty rows.

Separate because every part of the suite stands on them. All is deterministic, needs no network and takes milliseconds.
"""

import csv
import json
from pathlib import Path
from typing import Any

FAMILIES = ("llama", "qwen3", "gemma3", "mistral", "gpt2", "glm4")
ENCODERS = (
    "bert", "roberta", "distilbert", "electra", "albert", "deberta-v2", "modernbert", "mpnet", "xlm-roberta",
    "camembert", "ernie", "deberta",
)  # fmt: skip
VOCABULARY = 480
WIDTH = 32
LAYERS = 2
CONTEXT = 512

SENTENCES = (
    "The quick brown fox jumps over the lazy dog.",
    "You have won a free prize! Call now to claim your cash.",
    "Are we still meeting for lunch today?",
    "Is the following message spam or ham? Answer with one word.",
    "Urgent: your account will be closed, reply with your number.",
    "I will call you later when I am home.",
    "What is the capital of France? The capital of France is Paris.",
    "Please send me the report before the meeting tomorrow.",
    "Congratulations, you were selected for a free holiday.",
    "A small model can learn a small task very well.",
    "今天天气很好，我们去公园散步吧。",
    "恭喜您中奖了，请点击链接领取奖金。",
    "你什么时候回家吃饭？",
    "下面的消息是垃圾短信还是正常短信？",
    "请把会议记录发给我，谢谢。",
    "免费领取红包，名额有限，马上回复。",
    "微调让语言模型适应你的任务。",
    "明天的会议改到下午三点。",
    "这家餐厅的菜很好吃，服务也不错。",
    "房间太小，而且很吵，不推荐。",
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SPAM = (
    "You have won a free prize, call now",
    "URGENT your account will be closed, reply with your number",
    "Congratulations, claim your cash prize today",
    "Free holiday for you, text WIN now",
    "Cheap loans, no questions, call now",
    "Win a phone, reply YES to claim",
    "恭喜您中奖了，请点击链接领取奖金",
    "免费领取红包，名额有限，马上回复",
    "低息贷款，无需抵押，请致电客服",
    "您的账户异常，请点击链接验证",
    "限时优惠，点击领取免费礼品",
    "Claim your free ringtone now",
    "Last chance to claim your bonus, call today",
    "You are the lucky winner of our draw",
    "特价机票，回复领取优惠码",
)
HAM = (
    "Are we still meeting for lunch today?",
    "I will call you later when I am home",
    "Please send me the report before the meeting",
    "Happy birthday, see you on Sunday",
    "The train is late, start without me",
    "Did you feed the dog this morning?",
    "你什么时候回家吃饭？",
    "明天的会议改到下午三点",
    "请把会议记录发给我，谢谢",
    "今天天气很好，我们去公园散步吧",
    "我已经到车站了，你在哪里？",
    "Can you pick up some milk on the way",
    "Thanks for your help with the homework",
    "Let us talk about it tomorrow",
    "妈妈说周末一起吃饭",
)


def tiny_tokenizer(folder: Path) -> Path:
    """A byte-level BPE tokenizer with a ChatML template, trained on the sentences above and saved into ``folder``.

    Ids 0, 1, 2 are ``<|endoftext|>`` (also padding), ``<|im_start|>``, ``<|im_end|>`` (the end token). No BOS is added.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    return folder


def tiny_model(family: str, folder: Path, seed: int = 0) -> Path:
    """A random two-layer model of ``family`` (see ``FAMILIES``) with the tiny tokenizer: an fp32 folder."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(tiny_config(family), dtype=torch.float32)
        for parameter in model.parameters():  # larger than a fresh model's: answers then differ enough to compare
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.08)
    model.generation_config.eos_token_id = 2
    model.generation_config.pad_token_id = 0
    model.save_pretrained(folder)
    return tiny_tokenizer(folder)


def tiny_config(family: str) -> Any:
    """The transformers configuration of a tiny model."""
    import transformers

    shared: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    if family == "gpt2":
        sizes = {"n_positions": CONTEXT, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4}
        quiet = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        ids = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}
        return transformers.GPT2Config(vocab_size=VOCABULARY, **sizes, **quiet, **ids)
    if family == "llama":
        return transformers.LlamaConfig(**shared, tie_word_embeddings=True)
    if family == "qwen3":
        return transformers.Qwen3Config(**shared, head_dim=8, tie_word_embeddings=True)
    if family == "mistral":
        return transformers.MistralConfig(**shared, sliding_window=None, tie_word_embeddings=False)
    if family == "glm4":
        return transformers.Glm4Config(**shared, head_dim=8, tie_word_embeddings=False)
    if family == "gemma3":
        layers = ["sliding_attention", "full_attention"]
        return transformers.Gemma3TextConfig(**shared, head_dim=8, sliding_window=64, layer_types=layers)
    raise ValueError(f"no tiny model of family {family!r}; there are {FAMILIES}")


def tiny_encoder(family: str, folder: Path, seed: int = 0) -> Path:
    """A random two-layer encoder of ``family`` (see ``ENCODERS``), without a head, as an fp32 folder.

    Its tokenizer is the tiny one, and puts a text between ``<cls>`` and ``<sep>``.
    """
    import torch
    from transformers import AutoModel

    tokenizer = encoder_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(encoder_config(family, tokenizer), dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.08)
    model.save_pretrained(folder)
    return folder


def encoder_tokenizer(folder: Path) -> Any:
    """The tiny tokenizer with the tokens that encoders begin and end a text with, saved into ``folder``."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    tiny_tokenizer(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"})
    ids = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("<cls>", "<sep>")]
    closed = processors.TemplateProcessing(single="<cls> $A <sep>", pair="<cls> $A <sep> $B <sep>", special_tokens=ids)
    tokenizer.backend_tokenizer.post_processor = closed
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    return tokenizer


def encoder_config(family: str, tokenizer: Any) -> Any:
    """The transformers configuration of a tiny encoder; nothing is dropped out."""
    from transformers import CONFIG_MAPPING

    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    if family == "distilbert":
        sizes = {name: sizes[name] for name in ("vocab_size", "max_position_embeddings", "pad_token_id")}
        sizes |= {"dim": WIDTH, "hidden_dim": 2 * WIDTH, "n_layers": LAYERS, "n_heads": 4}
        sizes |= {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0}
    if family in ("electra", "albert"):
        sizes |= {"embedding_size": WIDTH // 2, "classifier_dropout_prob": 0.0}
    if family in ("deberta", "deberta-v2"):
        sizes |= {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "pooler_hidden_size": WIDTH}
        sizes |= {"pooler_dropout": 0.0}
    return CONFIG_MAPPING[family](**sizes)


def tiny_rows(path: Path) -> Path:
    """Thirty labelled messages, half ``spam``, half ``ham``, English and Chinese: a CSV with columns ``text,label``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for spam, ham in zip(SPAM, HAM, strict=True):
            writer.writerow([spam, "spam"])
            writer.writerow([ham, "ham"])
    return path


def tiny_instructions(path: Path) -> Path:
    """Twelve instructions with replies, English and Chinese: JSONL with ``prompt`` and ``reply``."""
    pairs = (
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Say hello.", "Hello!"),
        ("Name a colour.", "Brown."),
        ("Which animal jumps?", "The quick brown fox."),
        ("Who is lazy?", "The dog."),
        ("When is the meeting?", "Tomorrow at three."),
        ("今天天气怎么样？", "今天天气很好。"),
        ("会议什么时候？", "明天下午三点。"),
        ("法国的首都是哪里？", "巴黎。"),
        ("说一声谢谢。", "谢谢。"),
        ("餐厅怎么样？", "菜很好吃，服务也不错。"),
        ("房间怎么样？", "房间太小，而且很吵。"),
    )
    lines = [json.dumps({"prompt": prompt, "reply": reply}, ensure_ascii=False) for prompt, reply in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tiny_run(model: Path, folder: Path, name: str) -> Path:
    """A finished run at ``folder/runs/name``: ``model`` tuned by LoRA for six steps on ``folder/rows.csv``."""
    from weitiao.api.train import train
    from weitiao.settings import make_settings

    data = folder / "rows.csv"
    settings = {"model": str(model), "data": str(data if data.exists() else tiny_rows(data))}
    settings |= {"output_dir": str(folder / "runs" / name), "max_steps": 6, "precision": "fp32", "threads": 1}
    return train(make_settings({**settings, "learning_rate": 5e-3, "val_size": 0.2, "test_size": 0.3})).folder


def tiny_marks(path: Path) -> Path:
    """Thirty texts in which persons and places are marked, English and Chinese, six of them without any: JSONL."""
    people = ("Ann", "Bob Lee", "Carla", "王小明", "李娜")
    places = ("Bath", "New York", "Rome", "苏州", "北京市")
    lines = []
    for number in range(30):
        person, place = people[number % 5], places[number // 5 % 5]
        if number >= 24:
            text, marks = f"Nobody is here, take {number}.", []
        elif number % 5 > 2:
            text, marks = f"{person}住在{place}，第{number}天。", [(person, "person"), (place, "place")]
        else:
            text, marks = f"{person} lives in {place} on day {number}.", [(person, "person"), (place, "place")]
        spans = [[text.index(words), text.index(words) + len(words), name] for words, name in marks]
        lines.append(json.dumps({"text": text, "spans": spans}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
