"""The configuration: what can be set, where it is read from, and what is wrong with it."""

from relay.settings.advice import warnings
from relay.settings.errors import ConfigError, Problem
from relay.settings.load import load
from relay.settings.model import ClientSettings, ProxySettings, Settings
from relay.settings.reload import take_over
from relay.settings.secret_files import SecretFiles
from relay.settings.tls import own_certificates
from relay.settings.values import secrets_of

__all__ = [
    "ClientSettings",
    "ConfigError",
    "Problem",
    "ProxySettings",
    "SecretFiles",
    "Settings",
    "load",
    "own_certificates",
    "secrets_of",
    "take_over",
    "warnings",
]
