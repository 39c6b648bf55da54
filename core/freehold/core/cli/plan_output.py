"""What `freehold plan` prints."""

from typing import Any

from freehold.core.cli.options import Format
from freehold.core.cli.output import print_fields, print_json, print_rows
from freehold.core.plan.candidates import Candidate, PassedOver
from freehold.core.plan.gpus import Gpus, known_gpus
from freehold.core.plan.planning import Plan, shape_obstacles, what_would_do
from freehold.core.plan.speed import EFFICIENCY
from freehold.core.progress import hint, human_bytes, human_parameters


def print_plan(made: Plan) -> None:
    found, speed = made.fit, made.speed
    counted = "from its files" if made.subject.stored else "counted from its publisher's config"
    lines: dict[str, Any] = {
        "model": f"{made.subject.name}, {human_parameters(made.subject.parts.served.elements)} parameters ({counted})",
        "weights": f"{made.demand.precision}, {human_bytes(made.subject.weights(made.demand.precision).total)}",
        "gpus": f"{made.gpus}, {found.layout}",
        "asked for": f"{made.demand.concurrency} sequences of {made.demand.context:,} tokens",
        "fits": "yes" if made.suffices else "no",
        "on each GPU": f"{human_bytes(found.weight_bytes)} weights, {human_bytes(max(found.cache_bytes, 0))} cache",
        "most at once": f"{found.concurrency} sequences of {made.demand.context:,} tokens",
        "largest context": f"{made.largest_context:,} tokens for {made.demand.concurrency} sequences",
    }
    if found.admitted_bytes > found.sequence_bytes:
        logged = f"{found.logged_concurrency:,.1f}"
        lines["vLLM logs"] = f"{logged} at once, as if each held what must be free before one is taken on"
    if found.loads:
        lines |= {
            "answers": f"{speed.output_tokens_per_s(made.load):,.0f} tokens/s, {speed.requests_per_s:.1f} requests/s "
            f"of {made.load.prompt_tokens} + {made.load.output_tokens} tokens",
            "apart": f"{speed.prefill_tokens_per_s:,.0f} tokens/s of prompts, "
            f"{speed.decode_tokens_per_s:,.0f} of answers",
            "latency": f"first token {speed.first_token_s * 1e3:.0f} ms, then {speed.inter_token_s * 1e3:.1f} ms each",
        }
    if made.cost:
        lines["cost"] = (
            f"{made.cost.per_million_output_tokens:.2f} per million tokens of answers, "
            f"{made.cost.per_million_tokens:.2f} of all, at {made.cost.hour:.2f} an hour"
        )
    if made.break_even:
        even = made.break_even
        lines["break-even"] = (
            f"from {even.requests_per_hour:,.0f} requests an hour, {even.share:.0%} of what the GPUs can answer"
        )
    print_fields(lines)
    for limit in [*made.limits, *shape_obstacles(made.subject, made.gpus)]:
        print(f"  {limit}")
    if not made.suffices and (enough := what_would_do(made.subject, made.gpus, made.demand)):
        hint(f"It would fit {enough}; or ask for less context, fewer sequences, or a narrower --variant.")
    told = f"{EFFICIENCY.bandwidth:.0%} of the bandwidth and {EFFICIENCY.arithmetic:.0%} of the arithmetic"
    hint(f"Speeds are a roofline at {told}, assumed; what was measured is in docs/plan-accuracy.md.")


def print_candidates(found: list[Candidate], passed: list[PassedOver], gpus: Gpus, form: Format) -> None:
    """Those that fit, in the order to try them in, and why others were passed over."""
    if form is Format.JSON:
        fitting = [plan_data(each.plan) | {"named": each.named} for each in found]
        print_json({"candidates": fitting, "passed_over": [vars(each) for each in passed]})
        return
    columns = ("model", "weights", "named", "most_at_once", "tokens_per_s", "per_million")
    rows = [_candidate_row(each) for each in found]
    print_rows(rows, columns, form, empty=f"No model of the catalogue that could do its work fits {gpus}.")
    _tell_passed(passed)
    hint("The order is no verdict: `freehold evaluate` on your own work is.")


def _candidate_row(each: Candidate) -> dict[str, Any]:
    made = each.plan
    return {
        "model": made.subject.name,
        "weights": f"{made.demand.precision}, {human_bytes(made.subject.weights(made.demand.precision).total)}",
        "named": "by its publisher" if each.named else "",
        "most_at_once": made.fit.concurrency,
        "tokens_per_s": f"{made.speed.output_tokens_per_s(made.load):,.0f}",
        "per_million": f"{made.cost.per_million_output_tokens:.2f}" if made.cost else "",
    }


def _tell_passed(passed: list[PassedOver]) -> None:
    reasons: dict[str, int] = {}
    for each in passed:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    for reason, number in sorted(reasons.items(), key=lambda item: -item[1]):
        hint(f"{number} passed over: {reason}")


def print_gpus(form: Format) -> None:
    rows = [
        {
            "name": name,
            "title": gpu.title,
            "memory": human_bytes(gpu.usable_bytes),
            "bandwidth": f"{gpu.bandwidth_bytes_per_s / 1e12:.2f} TB/s",
            "bf16": f"{gpu.dense_tflops['bf16']:.0f} Tflop/s" if gpu.dense_tflops.get("bf16") else None,
        }
        for name, gpu in known_gpus().items()
    ]
    print_rows(rows, ("name", "title", "memory", "bandwidth", "bf16"), form)


def plan_data(made: Plan) -> dict[str, Any]:
    found, speed = made.fit, made.speed
    return {
        "model": made.subject.name,
        "precision": made.demand.precision,
        "gpus": {"count": made.gpus.count, "title": made.gpus.gpu.title},
        "layout": vars(found.layout),
        "asked": {"context": made.demand.context, "concurrency": made.demand.concurrency},
        "fits": made.suffices,
        "per_gpu_bytes": {
            "engine": found.gpu_bytes,
            "weights": found.weight_bytes,
            "activations": found.activation_bytes,
            "overhead": found.overhead_bytes,
            "adapters": found.adapter_bytes,
            "cache": found.cache_bytes,
            "sequence": found.sequence_bytes,
            "admitted": found.admitted_bytes,
        },
        "most_at_once": found.concurrency,
        "logged_at_once": found.logged_concurrency,
        "largest_context": made.largest_context,
        "limits": made.limits,
        "speed": vars(speed) | {"output_tokens_per_s": speed.output_tokens_per_s(made.load)},
        "cost": vars(made.cost) if made.cost else None,
        "break_even": vars(made.break_even) if made.break_even else None,
    }
