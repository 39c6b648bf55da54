"""Plans: what fits fits, what does not says why, and speed and cost follow the roofline."""

from dataclasses import replace

import pytest

from freehold.core.errors import UserError
from freehold.core.manifest import load_catalogue
from freehold.core.plan.closed import find_closed
from freehold.core.plan.engine_memory import Adapters
from freehold.core.plan.fitting import Demand, fit, layouts, obstacle, sequence_bytes
from freehold.core.plan.gpus import GIB, parse_gpus
from freehold.core.plan.planning import Plan, plan, what_would_do
from freehold.core.plan.speed import Load, read_bytes
from freehold.core.plan.subject import Subject, subject_of_manifest

LOAD = Load(1000, 250)


def subject(model: str) -> Subject:
    return subject_of_manifest(load_catalogue().require(model))


def made(model: str, gpus: str, context: int = 8192, concurrency: int = 16, **more: object) -> Plan:
    found = subject(model)
    demand = Demand(context, concurrency, found.precision)
    return plan(found, parse_gpus(gpus), replace(demand, **more), LOAD)  # type: ignore[arg-type]


def test_a_model_that_is_known_to_fit() -> None:
    """OpenAI says that gpt-oss-120b runs on one GPU of 80 GB; its weights are 60.8 GiB."""
    found = made("gpt-oss-120b", "1xH100-SXM", concurrency=1)
    assert found.suffices
    assert found.fit.weight_bytes == pytest.approx(60.8 * GIB, rel=0.01)


@pytest.mark.parametrize(
    ("model", "gpus"), [("qwen3-32b", "1xL40S"), ("llama-3.3-70b-instruct", "1xH100-SXM"), ("glm-4.7", "2xH200-SXM")]
)
def test_a_model_that_is_known_not_to(model: str, gpus: str) -> None:
    found = made(model, gpus)
    assert not found.suffices
    assert not found.fit.loads
    assert "does not load: weights" in " ".join(found.limits)


def test_the_largest_fit_and_no_more() -> None:
    found = made("qwen3-8b", "1xL40S")
    most = found.fit.concurrency
    assert made("qwen3-8b", "1xL40S", concurrency=most).suffices
    assert not made("qwen3-8b", "1xL40S", concurrency=most + 1).suffices
    longest = found.largest_context
    assert made("qwen3-8b", "1xL40S", context=longest).suffices
    assert not made("qwen3-8b", "1xL40S", context=longest + 16).suffices


def test_a_context_that_the_model_does_not_take() -> None:
    found = made("qwen3-8b", "1xH100-SXM", context=65536, concurrency=1)
    assert not found.suffices
    assert "the model takes 40,960 tokens, and 65,536 were asked for" in found.limits


def test_what_would_do_is_enough_and_half_of_it_is_not() -> None:
    wanted = Demand(8192, 16, "bf16")
    found = what_would_do(subject("llama-3.3-70b-instruct"), parse_gpus("1xL40S"), wanted)
    assert found == "8 × NVIDIA L40S 48GB"
    assert not made("llama-3.3-70b-instruct", "4xL40S").suffices


@pytest.mark.parametrize(
    ("model", "tensor", "told"),
    [
        ("smollm2-135m-instruct", 2, "9 attention heads cannot be shared by 2 GPUs"),
        ("qwen3-32b", 8, ""),
        ("glm-4.7-flash", 8, "20 attention heads cannot be shared by 8 GPUs"),
        ("glm-4.7-flash", 4, ""),
    ],
)
def test_a_shape_that_cannot_be_shared(model: str, tensor: int, told: str) -> None:
    assert obstacle(subject(model), tensor) == told


def test_layouts_use_every_gpu_and_share_layers_before_they_row_them_up() -> None:
    found = {
        (each.tensor_parallel, each.pipeline_parallel, each.replicas)
        for each in layouts(subject("qwen3-32b"), parse_gpus("4xL40S"))
    }
    assert found == {(1, 1, 4), (2, 1, 2), (4, 1, 1)}
    rows = [each for each in layouts(subject("qwen3-32b"), parse_gpus("16xL40S")) if each.pipeline_parallel > 1]
    assert {each.tensor_parallel for each in rows} == {8}


def test_shares_of_weights_and_cache() -> None:
    one, two = (
        fit(subject("qwen3-32b"), parse_gpus("2xH100-SXM"), layout, Demand(8192, 1, "bf16"))
        for layout in list(layouts(subject("qwen3-32b"), parse_gpus("2xH100-SXM")))[:2]
    )
    assert two.weight_bytes == pytest.approx(one.weight_bytes / 2, rel=0.001)
    assert two.sequence_bytes * 2 == one.sequence_bytes


def test_narrower_weights_leave_embeddings_alone() -> None:
    model = subject("qwen3-32b")
    wide, narrow = model.weights("bf16"), model.weights("int4")
    assert narrow.ends == wide.ends
    assert narrow.layers == pytest.approx(wide.layers * (0.5 + 2 / 128) / 2)


def test_what_a_published_checkpoint_leaves_alone() -> None:
    """gpt-oss narrows its experts and nothing else."""
    model = subject("gpt-oss-20b")
    weights = model.weights("mxfp4")
    experts = model.parts["experts"].elements * (0.5 + 1 / 32)
    assert weights.layers == pytest.approx(experts + 2 * model.parts["attention"].elements)


def test_an_8_bit_cache_holds_twice_as_much() -> None:
    model, demand = subject("qwen3-8b"), Demand(8192, 1, "bf16")
    gpus = parse_gpus("1xL40S")
    (layout,) = layouts(model, gpus)
    narrow = replace(demand, kv_cache="fp8")
    assert sequence_bytes(model, 8192, demand, layout) == 2 * sequence_bytes(model, 8192, narrow, layout)


def test_mixed_weights_are_narrow_in_experts_and_half_as_narrow_in_the_rest() -> None:
    """DeepSeek V4: experts in 4 bits with a byte for 32, attention and shared experts in 8, compressors in 16."""
    model = subject("deepseek-v4-flash")
    weights, parts = model.weights("mixed"), model.parts
    assert weights.experts == pytest.approx(parts["experts"].elements * (0.5 + 1 / 32))
    rest = parts["attention"].elements + parts["dense"].elements
    assert weights.layers - weights.experts == pytest.approx(rest, rel=0.001)
    assert weights.everywhere == 2 * (parts["routers"].elements + parts["rest"].elements)
    assert weights.total == pytest.approx(156.0e9, rel=0.005)


@pytest.mark.parametrize("change", [{"expert_dtype": "fp3"}, {"model_type": "deepseek_v5"}])
def test_what_is_mixed_otherwise_is_not_guessed(change: dict[str, str]) -> None:
    model = subject("deepseek-v4-flash")
    planted = replace(model, config=dict(model.config) | change)
    with pytest.raises(UserError, match="how wide in 'mixed'"):
        planted.weights("mixed")
    with pytest.raises(UserError, match="how wide in 'mixed'"):
        subject("qwen3-8b").weights("mixed")


def test_wide_experts_of_v4_are_as_wide_as_the_rest() -> None:
    model = subject("deepseek-v4-flash")
    base = replace(model, config=dict(model.config) | {"expert_dtype": "fp8"})
    assert base.weights("mixed").total == pytest.approx(model.weights("fp8").total)


@pytest.mark.parametrize(
    ("model", "gpus", "suffices"),
    [
        ("deepseek-v4-flash", "4xH200-SXM", True),
        ("deepseek-v4-flash", "1xH200-SXM", False),
        ("deepseek-v4-pro", "8xH200-SXM", True),
        ("deepseek-v4-pro", "8xH100-SXM", False),
        ("minimax-m3", "8xH200-SXM", True),
        ("minimax-m3", "4xH200-SXM", False),
    ],
)
def test_compressed_and_sparse_models_fit_what_their_recipes_say(model: str, gpus: str, suffices: bool) -> None:
    assert made(model, gpus).suffices == suffices


def test_one_is_taken_on_beside_those_that_are_answered() -> None:
    """Most at once: what is left beside the next one's prompt is shared by those that hold a window and no more."""
    found = made("deepseek-v4-flash", "8xH200-SXM").fit
    assert found.admitted_bytes > 20 * found.sequence_bytes
    replicas = found.layout.replicas
    beside = (found.cache_bytes - found.admitted_bytes) // found.sequence_bytes
    assert found.concurrency == (beside + 1) * replicas
    assert found.logged_concurrency == pytest.approx(found.cache_bytes / found.admitted_bytes * replicas)
    none = replace(found, weight_bytes=found.weight_bytes + found.cache_bytes - found.admitted_bytes + 1)
    assert none.concurrency == 0
    assert not none.suffices
    one = replace(none, weight_bytes=none.weight_bytes - 1, asked=1)
    assert one.concurrency == replicas
    assert one.suffices


def test_without_windows_all_that_is_held_is_all_that_must_be_free() -> None:
    found = made("qwen3-8b", "1xL40S").fit
    assert found.admitted_bytes == found.sequence_bytes
    assert int(found.logged_concurrency) == found.concurrency


def test_long_contexts_are_read_by_what_is_selected() -> None:
    """Of 512k tokens MiniMax M3 reads a few layers, an index and 2,048 tokens; all of them would take longer."""
    model, gpus = subject("minimax-m3"), parse_gpus("8xH200-SXM")
    long, demand = Load(512_000, 250), Demand(524_288, 1, "bf16")
    sparse = dict(model.text["sparse_attention_config"])
    everything = sparse | {"sparse_topk_blocks": 8192}
    config = dict(model.config) | {"text_config": dict(model.text) | {"sparse_attention_config": everything}}
    chosen, whole = (plan(each, gpus, demand, long).speed for each in (model, replace(model, config=config)))
    assert chosen.inter_token_s < 0.8 * whole.inter_token_s
    assert chosen.first_token_s < 0.5 * whole.first_token_s


def test_adapters_take_room() -> None:
    without, beside = made("qwen3-8b", "1xL40S"), made("qwen3-8b", "1xL40S", adapters=Adapters(8, 64))
    assert beside.fit.adapter_bytes > 0
    assert beside.fit.cache_bytes == without.fit.cache_bytes - beside.fit.adapter_bytes


def test_a_step_reads_the_experts_that_its_tokens_were_sent_to() -> None:
    model = subject("gpt-oss-120b")
    alone, many = read_bytes(model, "mxfp4", 1), read_bytes(model, "mxfp4", 10_000)
    assert alone < 0.1 * many
    dense = subject("qwen3-8b")
    assert read_bytes(dense, "bf16", 1) == read_bytes(dense, "bf16", 10_000)


def test_speed_follows_bandwidth_and_batches() -> None:
    slow, fast = made("qwen3-8b", "1xL4", concurrency=1), made("qwen3-8b", "1xH100-SXM", concurrency=1)
    assert fast.speed.decode_tokens_per_s > 5 * slow.speed.decode_tokens_per_s
    assert (
        made("qwen3-8b", "1xH100-SXM", concurrency=32).speed.decode_tokens_per_s > 10 * fast.speed.decode_tokens_per_s
    )
    ceiling = 3.35e12 / (subject("qwen3-8b").weights("bf16").total - subject("qwen3-8b").weights("bf16").ends[0])
    assert fast.speed.decode_tokens_per_s < ceiling


def test_cost_and_break_even() -> None:
    found = plan(
        subject("qwen3-8b"),
        parse_gpus("1xL40S"),
        Demand(8192, 16, "bf16"),
        LOAD,
        gpu_hour=1.0,
        closed=find_closed("gpt-4o-mini"),
    )
    assert found.cost is not None
    assert found.break_even is not None
    an_hour = found.speed.requests_per_s * 3600
    assert found.cost.per_million_tokens == pytest.approx(1e6 / (an_hour * 1250))
    assert found.break_even.requests_per_hour == pytest.approx(1.0 / (1000 * 0.15e-6 + 250 * 0.6e-6))
    assert found.break_even.share == pytest.approx(found.break_even.requests_per_hour / an_hour)


def test_blocks_are_not_sliced_and_experts_are_dealt_out_instead() -> None:
    """A mixture of experts of 768 in FP8 blocks of 128: six blocks are shared by two GPUs, and not by four."""
    model = subject("qwen3.6-35b-a3b")
    inner = int(model.text["moe_intermediate_size"])
    blocks = replace(model, config=dict(model.config) | {"quantization_config": {"weight_block_size": [128, 128]}})
    assert inner % 128 == 0
    count = next(count for count in (2, 4, 8) if (inner // 128) % count)
    assert obstacle(model, count) == ""
    assert f"in blocks of 128 cannot be shared by {count} GPUs" in obstacle(blocks, count)
    (whole,) = [each for each in layouts(blocks, parse_gpus(f"{count}xL40S")) if each.tensor_parallel == count]
    assert whole.expert_parallel
    assert "expert parallel" in str(whole)
    assert not any(each.expert_parallel for each in layouts(model, parse_gpus(f"{count}xL40S")))


def test_experts_that_cannot_be_dealt_out() -> None:
    assert obstacle(subject("qwen3-8b"), 2, expert_parallel=True) == "there are no experts"


def test_the_context_is_what_card_and_config_both_allow() -> None:
    """Mistral Small 4's config says a million positions, its card 256k tokens."""
    model = subject("mistral-small-4-119b-2603")
    assert model.manifest is not None
    assert model.context == model.manifest.context_tokens < int(model.text["max_position_embeddings"])
