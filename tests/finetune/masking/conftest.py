"""Tokenizers and templates: a byte-level tokenizer that knows the special tokens of many models."""

from pathlib import Path
from typing import Any

import pytest

from freehold.core.dataset.examples import Conversation, Message, Origin
from freehold.finetune.checking import learnt_texts
from freehold.finetune.masking import Masker

SPECIAL = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|endoftext|>",
    "<|return|>",
    "<|start|>",
    "<|message|>",
    "<|channel|>",
    "<|END_OF_TURN_TOKEN|>",
    "<end_of_utterance>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
]
ORIGIN = Origin("train.jsonl", 7)


def make_tokenizer(corpus: tuple[str, ...] = ("hello world",), **options: Any) -> Any:
    """A byte-level BPE: every text decodes to itself, and special tokens are one token each."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(corpus * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=bpe, **options)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return make_tokenizer(bos_token="<s>", eos_token="</s>")


def masker_of(tokenizer: Any, template: str, *stops: str, **arguments: Any) -> Masker:
    """A masker whose engine would stop at `stops`."""
    ids = tokenizer.convert_tokens_to_ids(list(stops))
    return Masker(tokenizer, chat_template=template, stop_token_ids=ids, template_arguments=arguments)


def real_template(name: str) -> str:
    """A template as its model's authors ship it; TRL carries copies."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text()


def talk(*contents: str, system: str | None = None) -> Conversation:
    """User and assistant in turn."""
    head: list[Message] = [{"role": "system", "content": system}] if system else []
    said = [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]
    return Conversation(ORIGIN, (*head, *said))


def learnt(masker: Masker, example: Conversation) -> list[list[str]]:
    """The learnt stretches of each masked example."""
    return [learnt_texts(masker, masked) for masked in masker.mask(example)]
