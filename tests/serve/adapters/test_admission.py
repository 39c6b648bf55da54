"""Which adapters an engine is given, and why not."""

import pytest
from fixtures.adapters import add_adapter, add_base

from freehold.core.adapters import ENGINE_RANKS
from freehold.core.errors import NotFoundError, RefusedError
from freehold.core.store import Artifact, Store
from freehold.serve.adapters.admission import admit, lora_rank_of
from freehold.serve.config import ServedModel
from freehold.serve.config.models import EngineRank


def test_a_judged_adapter_of_the_engines_base_is_admitted_by_id_and_by_name(store: Store) -> None:
    base = add_base(store)
    support = add_adapter(store, base)
    for reference in (support.id, "support"):
        assert admit(store, base, reference, accept=(), max_rank=64) == support


def test_the_base_may_have_been_pulled_again_under_another_name(store: Store) -> None:
    base = add_base(store)
    support = add_adapter(store, base, parents=("alpha-of-elsewhere",))
    assert admit(store, base, support.id, accept=(), max_rank=64) == support


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"verdict": None}, "has not passed the parity gate: it was never judged"),
        ({"verdict": False}, "did not pass the parity gate: the adapter changes nothing"),
        ({"use_dora": True}, "`use_dora` is set: DoRA rescales"),
        ({"r": 128}, "`r` is 128, above the engine's `--max-lora-rank` of 64"),
        ({"parents": ("beta-0123456789ab",), "has_reference": False}, "it was trained on beta-0123456789ab, and the"),
        ({"modules_to_save": ["embed_tokens"]}, "`modules_to_save` names embed_tokens"),
    ],
)
def test_every_other_is_refused_with_the_reason(store: Store, settings: dict[str, object], reason: str) -> None:
    base = add_base(store)
    support = add_adapter(store, base, **settings)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="may not be loaded") as refused:
        admit(store, base, support.id, accept=(), max_rank=64)
    assert reason in refused.value.why
    assert refused.value.next_step


def test_all_reasons_are_told_at_once(store: Store) -> None:
    support = add_adapter(store, add_base(store), verdict=None, use_dora=True)
    with pytest.raises(RefusedError) as refused:
        admit(store, add_base(store, "beta"), support.id, accept=(), max_rank=64)
    assert all(reason in refused.value.why for reason in ("trained on alpha", "DoRA", "never judged"))


@pytest.mark.parametrize("verdict", [None, False])
def test_a_verdict_may_be_accepted_a_wrong_base_may_not(store: Store, verdict: bool | None) -> None:
    base, other = add_base(store), add_base(store, "beta")
    support = add_adapter(store, base, verdict=verdict)
    assert admit(store, base, support.id, accept=("parity",), max_rank=64) == support
    with pytest.raises(RefusedError, match="trained on"):
        admit(store, other, support.id, accept=("parity",), max_rank=64)


def test_a_model_is_no_adapter(store: Store) -> None:
    base = add_base(store)
    with pytest.raises(RefusedError, match="is no adapter"):
        admit(store, base, base.id, accept=(), max_rank=64)
    with pytest.raises(NotFoundError, match="No artifact 'nowhere'"):
        admit(store, base, "nowhere", accept=(), max_rank=64)


def _served(base: Artifact, **adapters: str) -> ServedModel:
    named = {name: {"artifact": artifact} for name, artifact in adapters.items()}
    return ServedModel.model_validate({"artifact": base.id, "adapters": named})


def test_the_engines_rank_fits_what_is_named_and_most_that_may_come(store: Store) -> None:
    base = add_base(store)
    big = add_adapter(store, base, "big", r=100)
    assert lora_rank_of(ServedModel(artifact=base.id), store) is None
    assert lora_rank_of(_served(base), store) == 64
    assert lora_rank_of(_served(base, big=big.id), store) == 128
    fixed = ServedModel.model_validate({"artifact": base.id, "adapters": {}, "engine": {"maxLoraRank": 16}})
    assert lora_rank_of(fixed, store) == 16


def test_the_config_takes_the_ranks_that_the_engine_takes() -> None:
    assert EngineRank.__args__ == ENGINE_RANKS
