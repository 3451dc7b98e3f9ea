"""Which egress proxy is used, if any."""

from __future__ import annotations

import pytest

from relay.core.errors import RelayError
from relay.settings import secrets_of
from relay.settings.model import UpstreamSettings
from relay.upstream.egress import EgressProxy, egress_proxy, is_exempt, variables

ELSEWHERE = {"HTTPS_PROXY": "http://elsewhere:3128"}


def found(environ: dict[str, str] | None = None, **settings: str) -> EgressProxy | None:
    return egress_proxy(UpstreamSettings.model_validate(settings), environ or {})


def test_without_a_word_about_it_there_is_none() -> None:
    """The upstream would be out of reach where there is no proxy."""
    assert found() is None
    assert found({"HTTPS_PROXY": ""}) is None
    assert found({"HTTP_PROXY": "http://elsewhere:3128"}) is None


def test_the_environment_names_one_unless_the_configuration_says_otherwise() -> None:
    """relay would take another way to the upstream than everything else on its machine, or than it was given."""
    assert found(ELSEWHERE) == EgressProxy(False, "elsewhere", 3128, "HTTPS_PROXY")
    assert found(ELSEWHERE | {"https_proxy": "proxy:1"}) == EgressProxy(False, "proxy", 1, "https_proxy")
    assert found(ELSEWHERE, proxy="direct") is None
    assert found(ELSEWHERE, proxy="https://proxy") == EgressProxy(True, "proxy", 443, "upstream.proxy")
    assert found(ELSEWHERE, proxy="http://[::1]/") == EgressProxy(False, "::1", 80, "upstream.proxy")


@pytest.mark.parametrize(
    "base_url", ["http://simulator:8081", "https://localhost:1", "https://127.0.0.1", "https://[::1]"]
)
def test_the_environment_does_not_count_in_clear_text_and_on_this_machine(base_url: str) -> None:
    """A simulator next to relay would be asked for through a proxy that does not know it."""
    assert found(ELSEWHERE, base_url=base_url) is None
    assert found(base_url=base_url, proxy="http://elsewhere:3128") is not None


def test_no_proxy_exempts_the_upstream_from_the_environment_only() -> None:
    """What the configuration says about relay alone would be overruled by what is meant for all of a machine."""
    assert found(ELSEWHERE | {"NO_PROXY": "novita.ai"}) is None
    assert found(ELSEWHERE | {"NO_PROXY": "novita.ai", "no_proxy": "other.example"}) is not None
    assert found({"NO_PROXY": "*"}, proxy="http://elsewhere:3128") is not None


@pytest.mark.parametrize(
    ("no_proxy", "host", "exempt"),
    [
        ("", "api.novita.ai", False),
        ("*", "api.novita.ai", True),
        ("api.novita.ai", "api.novita.ai", True),
        ("API.Novita.AI", "api.novita.ai", True),
        ("novita.ai", "api.novita.ai", True),
        (".novita.ai", "api.novita.ai", True),
        ("*.novita.ai", "api.novita.ai", True),
        ("vita.ai", "api.novita.ai", False),
        (".", "api.novita.ai", False),
        (":443", "api.novita.ai", False),
        ("a.example, novita.ai b.example", "api.novita.ai", True),
        ("novita.ai:443", "api.novita.ai", True),
        ("novita.ai:8443", "api.novita.ai", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", True),
        ("10.1.2.3:444", "10.1.2.3", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]", "fd00::1", True),
        ("[fd00::1]:443", "fd00::1", True),
        ("10.0.0.0/8", "api.novita.ai", False),
        ("nonsense/99", "api.novita.ai", False),
    ],
)
def test_no_proxy_is_read_as_everybody_reads_it(no_proxy: str, host: str, *, exempt: bool) -> None:
    """relay would go through the proxy where curl does not, or past it where curl goes through."""
    assert is_exempt(host, 443, no_proxy) is exempt


def test_credentials_are_decoded_for_the_header_and_shown_nowhere() -> None:
    """A password with a special character would be refused; or the password would be in a log."""
    proxy = found(proxy="http://us%40er:p%3Aass%2F%25@proxy.example:3128")
    assert proxy is not None
    assert proxy.authorization == b"Basic dXNAZXI6cDphc3MvJQ=="
    assert str(proxy) == "http://proxy.example:3128"
    assert "dXNAZX" not in repr(proxy)
    assert "p:ass" not in repr(proxy)


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "http://:80", "http://u:secret@proxy:99999", "http://a b"])
def test_a_variable_without_sense_is_reported_without_its_value(value: str) -> None:
    """relay would start, and reach no upstream; or its log would have the password."""
    with pytest.raises(RelayError) as caught:
        found({"HTTPS_PROXY": value})
    assert caught.value.code == "bad_egress_proxy"
    assert "The variable HTTPS_PROXY must be an address like" in caught.value.message
    assert value not in str(caught.value)


@pytest.mark.parametrize("address", ["http://relay:the-secret@proxy:3128", "relay:the-secret@proxy:3128"])
def test_the_passwords_of_variables_are_secrets(address: str) -> None:
    """A password that only the environment has would be shown where an upstream or a proxy quotes it."""
    assert secrets_of(tuple(variables({"HTTPS_PROXY": address, "https_proxy": "proxy:1"}))) == {"the-secret"}
    assert variables({}) == []
