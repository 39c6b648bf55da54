"""The store: immutable, content-addressed artifacts in Hugging Face layout, each with its lineage beside it."""

from freehold.core.store.artifact import Artifact
from freehold.core.store.digest import FileRecord, content_digest, hash_file, hash_folder
from freehold.core.store.lineage import LINEAGE_FILE, EvaluationRecord, Lineage, ProbeReference, SourceRecord, Step
from freehold.core.store.staging import Staging
from freehold.core.store.store import Store

__all__ = [
    "LINEAGE_FILE",
    "Artifact",
    "EvaluationRecord",
    "FileRecord",
    "Lineage",
    "ProbeReference",
    "SourceRecord",
    "Staging",
    "Step",
    "Store",
    "content_digest",
    "hash_file",
    "hash_folder",
]
