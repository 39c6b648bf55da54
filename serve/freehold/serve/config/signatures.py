"""Whose signatures count when a model or an adapter is loaded: `signatures`."""

from pydantic import Field, model_validator

from freehold.serve.config.base import ConfigModel


class SignaturesConfig(ConfigModel):
    """Signatures of OpenSSF model signing, checked each time before weights are loaded. Needs no network."""

    keys: tuple[str, ...] = Field(default=())
    """Public keys that are believed, in PEM: files, or the texts themselves."""
    certificates: tuple[str, ...] = Field(default=())
    """Certificates that signers' own are issued under, in PEM: files, or the texts themselves."""
    required: bool = True
    """Load nothing that none of these has signed; false checks what they have signed, and loads the rest unchecked."""

    @model_validator(mode="after")
    def _believes_somebody(self) -> "SignaturesConfig":
        if not self.keys and not self.certificates:
            raise ValueError("nobody is believed; write keys or certificates")
        return self
