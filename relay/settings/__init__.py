"""The configuration: what can be set, where it is read from, and what is wrong with it."""

from __future__ import annotations

from relay.settings.advice import warnings
from relay.settings.environment import RESERVED
from relay.settings.errors import ConfigError, Problem, render_problems
from relay.settings.load import load
from relay.settings.model import (
    AdminSettings,
    CaptureSettings,
    ClientSettings,
    ConsoleSettings,
    DedupSettings,
    JournalSettings,
    LogSettings,
    NovitaSettings,
    OnDisconnect,
    ProxySettings,
    ReconcileSettings,
    ServerSettings,
    Settings,
    TasksSettings,
    UpstreamSettings,
    WebhooksSettings,
)
from relay.settings.reload import Reloaded, take_over
from relay.settings.secret_files import SecretFiles
from relay.settings.secret_values import secrets_of

__all__ = [
    "RESERVED",
    "AdminSettings",
    "CaptureSettings",
    "ClientSettings",
    "ConfigError",
    "ConsoleSettings",
    "DedupSettings",
    "JournalSettings",
    "LogSettings",
    "NovitaSettings",
    "OnDisconnect",
    "Problem",
    "ProxySettings",
    "ReconcileSettings",
    "Reloaded",
    "SecretFiles",
    "ServerSettings",
    "Settings",
    "TasksSettings",
    "UpstreamSettings",
    "WebhooksSettings",
    "load",
    "render_problems",
    "secrets_of",
    "take_over",
    "warnings",
]
