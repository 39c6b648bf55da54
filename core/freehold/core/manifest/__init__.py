"""Model manifests: one page of data per open-weight model, and the catalogue of them."""

from freehold.core.manifest.catalogue import Catalogue, load_catalogue
from freehold.core.manifest.model import HubOrigin, ModelManifest, PackageOrigin

__all__ = ["Catalogue", "HubOrigin", "ModelManifest", "PackageOrigin", "load_catalogue"]
