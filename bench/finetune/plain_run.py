"""A plain peft loop: what one writes by hand in an afternoon. `python -m bench.finetune.plain_run WORK RESULT`."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from bench.finetune.clock import Clock
from bench.finetune.work import ALPHA, RANK, RATE, TARGETS, Work

IGNORED = -100


def main() -> None:
    work, result = Work.load(Path(sys.argv[1])), Path(sys.argv[2])
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(work.model)
    model = AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32)
    config = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS), task_type="CAUSAL_LM")
    model = get_peft_model(model, config).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE, weight_decay=0.0)
    rows = [tokenised(tokenizer, json.loads(line)["messages"]) for line in Path(work.data).read_text().splitlines()]
    clock, tokens, dice = Clock(work), 0, random.Random(0)
    order: list[int] = []
    for _ in range(work.steps):
        if len(order) < work.batch_size:
            order = dice.sample(range(len(rows)), len(rows))
        batch = [rows[order.pop()] for _ in range(work.batch_size)]
        loss = model(**collated(batch, tokenizer.eos_token_id), use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        tokens += sum(len(ids) for ids, _ in batch)
        clock.tick(tokens, loss.item())
    clock.write(result)


def tokenised(tokenizer: Any, messages: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=True, return_dict=False)
    whole = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)
    return whole, [IGNORED] * len(prompt) + whole[len(prompt) :]


def collated(batch: list[tuple[list[int], list[int]]], pad: int) -> dict[str, torch.Tensor]:
    longest = max(len(ids) for ids, _ in batch)
    return {
        "input_ids": torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in batch]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in batch]),
        "labels": torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in batch]),
    }


if __name__ == "__main__":
    main()
