"""The database's tables. A change here needs a migration; a test compares the two.

Times are seconds since the epoch (float), by the database's clock where replicas must agree. Money is in millionths of
the gateway's currency. Names and limits are explained where they are used: `keys`, `quotas`, `ledger`.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Float, Index, LargeBinary, MetaData, String, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Root of the mapped classes; constraints have names, so that a migration can drop them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {dict[str, Any]: JSON, list[str]: JSON, int: BigInteger, float: Float, bytes: LargeBinary}  # noqa: RUF012


class KeyRow(Base):
    """A key that a client or an administrator proves itself with. Its secret is not here, only its SHA-256."""

    __tablename__ = "api_key"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    """`app`, `viewer`, `operator` or `admin`."""
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    """First characters of the secret, to tell keys apart by."""
    previous_hash: Mapped[bytes | None] = mapped_column(unique=True)
    """The secret before a rotation, accepted until `previous_until`."""
    previous_until: Mapped[float | None]
    team: Mapped[str] = mapped_column(String(128))
    owner: Mapped[str] = mapped_column(String(128))
    label: Mapped[str] = mapped_column(String(16))
    """`must-stay` or `may-leave`."""
    may_tune: Mapped[bool] = mapped_column(server_default=false())
    """Whether it may upload files and start fine-tuning jobs."""
    models: Mapped[list[str] | None]
    """Models it may name; none means all, unless `routes` says otherwise."""
    routes: Mapped[list[str] | None]
    """Routes it may name; none means all, unless `models` says otherwise."""
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    concurrent_requests: Mapped[int | None]
    monthly_tokens: Mapped[int | None]
    monthly_money: Mapped[int | None]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    revision: Mapped[int] = mapped_column(index=True)
    """Value of `RevisionRow` at the last change: replicas read what is newer than what they have."""


class RevisionRow(Base):
    """One row: how many changes the keys have seen. Its lock makes changes visible in the order of their numbers."""

    __tablename__ = "key_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


class AllowanceRow(Base):
    """What one key has used of one limit in one window of time, and what replicas hold of the rest."""

    __tablename__ = "allowance"

    key_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    meter: Mapped[str] = mapped_column(String(16), primary_key=True)
    window_start: Mapped[int] = mapped_column(primary_key=True)
    """Start of the window, epoch seconds; 0 for a limit without one."""
    spent: Mapped[int]
    leased: Mapped[int]
    wanted_until: Mapped[float] = mapped_column(index=True)
    """Until then replicas give back what they do not use: somebody ran short."""


class LeaseRow(Base):
    """What one replica holds of an allowance. After `expires_at` anybody may take it back."""

    __tablename__ = "lease"

    key_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    meter: Mapped[str] = mapped_column(String(16), primary_key=True)
    window_start: Mapped[int] = mapped_column(primary_key=True)
    replica: Mapped[str] = mapped_column(String(32), primary_key=True)
    amount: Mapped[int]
    expires_at: Mapped[float] = mapped_column(index=True)


class ReplicaRow(Base):
    """A gateway process that was seen."""

    __tablename__ = "replica"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    seen_at: Mapped[float]


class UsageRow(Base):
    """Sums of one hour, for one key, team, model, route and endpoint."""

    __tablename__ = "usage"

    hour: Mapped[int] = mapped_column(primary_key=True)
    """Start of the hour, epoch seconds."""
    key_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Empty where the gateway asks for no keys."""
    team: Mapped[str] = mapped_column(String(128), primary_key=True)
    model: Mapped[str] = mapped_column(String(256), primary_key=True)
    """What answered: a model of the deployment or `<upstream>/<model>`."""
    route: Mapped[str] = mapped_column(String(128), primary_key=True)
    """What the client asked for, if that was a route; else empty."""
    endpoint: Mapped[str] = mapped_column(String(64), primary_key=True)
    requests: Mapped[int]
    errors: Mapped[int]
    """Requests with a status of 400 and above."""
    prompt_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    """Prompt tokens that the engine had in its cache, as far as it says."""
    completion_tokens: Mapped[int]
    estimated_tokens: Mapped[int]
    """How many of all these tokens nobody counted: estimates for answers that broke off."""
    engine_us: Mapped[int]
    """The requests' share of the engine's busy time, microseconds."""
    money: Mapped[int]
    audio_seconds: Mapped[int] = mapped_column(server_default="0")
    """Length of the sound in requests."""


class BatchRow(Base):
    """A batch of usage that has been added: a replay after an uncertain commit finds it here and adds nothing."""

    __tablename__ = "usage_batch"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    applied_at: Mapped[float]


class FileRow(Base):
    """A file of `/v1/files`; its bytes lie in the data folder."""

    __tablename__ = "stored_file"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space: Mapped[str] = mapped_column(String(160))
    """Whose it is: `team:…`, `key:…`, or empty where the gateway asks for no keys."""
    key_id: Mapped[str] = mapped_column(String(32))
    filename: Mapped[str] = mapped_column(String(255))
    purpose: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int]
    """Until it is whole, what is set aside for it."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Empty until it is whole."""
    kind: Mapped[str] = mapped_column(String(16))
    """What its lines are, as `core.dataset` calls them; empty for results."""
    created_at: Mapped[float]
    expires_at: Mapped[float | None]


class JobRow(Base):
    """A fine-tuning job. `runner` and `lease_until` say which process works on it; anybody may after that time."""

    __tablename__ = "tuning_job"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space: Mapped[str] = mapped_column(String(160))
    key_id: Mapped[str] = mapped_column(String(32))
    team: Mapped[str] = mapped_column(String(128))
    model: Mapped[str] = mapped_column(String(128))
    tuned_model: Mapped[str] = mapped_column(String(128))
    """The name that the result is served by."""
    training_file: Mapped[str] = mapped_column(String(40))
    validation_file: Mapped[str | None] = mapped_column(String(40))
    request: Mapped[dict[str, Any]]
    """What the client asked for beyond that: method, hyperparameters, seed, suffix, metadata."""
    status: Mapped[str] = mapped_column(String(24), index=True)
    created_at: Mapped[float]
    finished_at: Mapped[float | None]
    error: Mapped[dict[str, Any] | None]
    artifact: Mapped[str | None] = mapped_column(String(128))
    """What came of it."""
    trained_tokens: Mapped[int | None]
    estimated_finish: Mapped[float | None]
    result_file: Mapped[str | None] = mapped_column(String(40))
    runner: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[float]
    attempts: Mapped[int]
    """How often its training was started."""
    spent_s: Mapped[float]
    """How long it has run, all attempts together."""
    step: Mapped[int]
    """The last optimizer step that was told as an event."""
    events: Mapped[int]
    """How many events it has."""


class JobEventRow(Base):
    """Something that happened to a job."""

    __tablename__ = "tuning_event"

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    """From 1, in the order in which they happened."""
    created_at: Mapped[float]
    level: Mapped[str] = mapped_column(String(8))
    type: Mapped[str] = mapped_column(String(16))
    message: Mapped[str]
    data: Mapped[dict[str, Any]]


class CheckpointRow(Base):
    """A checkpoint of a job, with what was measured there."""

    __tablename__ = "tuning_checkpoint"

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[float]
    metrics: Mapped[dict[str, Any]]


class BatchJobRow(Base):
    """A batch of `/v1/batches`. `runner` and `lease_until` say which process works on it; anybody may after that time.

    What its lines were answered lies in the data folder until it is over, then in its output and error files.
    """

    __tablename__ = "batch_job"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space: Mapped[str] = mapped_column(String(160))
    key_id: Mapped[str] = mapped_column(String(32))
    """The key that its requests are sent for."""
    endpoint: Mapped[str] = mapped_column(String(64))
    input_file: Mapped[str] = mapped_column(String(40))
    request: Mapped[dict[str, Any]]
    """What the client asked for beyond that: metadata, lifetime of results."""
    status: Mapped[str] = mapped_column(String(24), index=True)
    created_at: Mapped[float]
    expires_at: Mapped[float]
    """When what has not been answered never will be."""
    in_progress_at: Mapped[float | None]
    finalizing_at: Mapped[float | None]
    cancelling_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    total: Mapped[int]
    """Lines; 0 before they are checked."""
    completed: Mapped[int]
    failed: Mapped[int]
    counted: Mapped[int]
    """Bytes of its journal whose usage has been added to the usage table."""
    errors: Mapped[dict[str, Any] | None]
    """Why it failed, line by line."""
    output_file: Mapped[str | None] = mapped_column(String(40))
    error_file: Mapped[str | None] = mapped_column(String(40))
    runner: Mapped[str] = mapped_column(String(32))
    lease_until: Mapped[float]


class ModelLoadRow(Base):
    """How many requests of clients a gateway process relays to a model, as it last said. For batches elsewhere."""

    __tablename__ = "model_load"

    replica: Mapped[str] = mapped_column(String(32), primary_key=True)
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    in_flight: Mapped[int]
    waiting: Mapped[int]
    told_at: Mapped[float] = mapped_column(index=True)


class AdapterRow(Base):
    """An adapter that was asked for while gateways ran. Those that the config names have no row."""

    __tablename__ = "adapter"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    """What clients send."""
    model: Mapped[str] = mapped_column(String(128))
    """The model whose engines load it."""
    artifact: Mapped[str] = mapped_column(String(128))
    accept: Mapped[list[str]]
    """Gates that it need not have passed."""
    created_at: Mapped[float]


class AdapterRevisionRow(Base):
    """One row: how many changes the adapters have seen; replicas read them again when it has moved."""

    __tablename__ = "adapter_revision"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[int]


class AdapterReportRow(Base):
    """How an adapter stands on one replica, as that last said. An empty `name` says that the replica is there."""

    __tablename__ = "adapter_report"

    replica: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    wanted: Mapped[str] = mapped_column(String(128))
    """The artifact that should answer."""
    phase: Mapped[str] = mapped_column(String(16))
    """`loading`, `ready`, `failed` or `unloading`: how far that is."""
    detail: Mapped[str]
    serving: Mapped[str] = mapped_column(String(128))
    """The artifact that answers; empty if none does."""
    fingerprint: Mapped[str] = mapped_column(String(32))
    is_configured: Mapped[bool]
    reported_at: Mapped[float] = mapped_column(index=True)


class UnloadedModelRow(Base):
    """A model of the config whose engine is to stay away."""

    __tablename__ = "unloaded_model"

    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    actor: Mapped[str] = mapped_column(String(255))
    unloaded_at: Mapped[float]


class SessionRow(Base):
    """Somebody who signed in to the console. The cookie's secret is not here, only its SHA-256."""

    __tablename__ = "console_session"

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    proof: Mapped[bytes | None]
    """SHA-256 of the key that was signed in with: the session lasts no longer than that. None with an issuer."""
    issuer: Mapped[str] = mapped_column(String(255))
    """Of an identity from elsewhere; empty where a key was shown."""
    subject: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(255))
    """What people call whoever signed in."""
    role: Mapped[str] = mapped_column(String(16))
    """What the issuer's claims gave; a key brings its own."""
    created_at: Mapped[float]
    seen_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class SignInRow(Base):
    """How often somebody failed to sign in from one address in one minute."""

    __tablename__ = "console_sign_in"

    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    minute: Mapped[int] = mapped_column(primary_key=True)
    failures: Mapped[int]


Index("ix_usage_key_id", UsageRow.key_id)
Index("ix_stored_file_space", FileRow.space)
Index("ix_tuning_job_space", JobRow.space)
Index("ix_batch_job_space", BatchJobRow.space)
