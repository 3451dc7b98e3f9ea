"""The headers that a browser gets with each file of the console."""

from __future__ import annotations

from relay.edge.console.headers import content_security_policy, headers_of


def directives(policy: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (each.split() for each in policy.split("; "))}


def test_the_page_runs_its_own_files_only_and_talks_to_its_own_relay_only() -> None:
    """A script that got into the page would run, or could send the API token away."""
    policy = directives(content_security_policy(on_loopback=False))
    assert (
        policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
    )
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == ["'self'"]
    assert set(policy) == {
        *("default-src", "script-src", "style-src", "connect-src", "img-src", "media-src"),
        *("base-uri", "form-action", "frame-ancestors"),
    }


def test_outputs_come_over_https_and_on_loopback_from_there_too() -> None:
    """Outputs would not be shown, or a page in the open would load pictures in clear."""
    assert directives(content_security_policy(on_loopback=False))["media-src"] == ["https:"]
    on_loopback = directives(content_security_policy(on_loopback=True))
    assert on_loopback["media-src"] == ["https:", "http://127.0.0.1:*", "http://localhost:*"]
    assert on_loopback["img-src"] == ["'self'", *on_loopback["media-src"]]


def test_nothing_is_guessed_referred_framed_or_shared() -> None:
    """A browser could take a file for another type, leak the relay's address, or let another site frame the page."""
    headers = headers_of("text/css; charset=utf-8", '"1"', on_loopback=False)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]
    assert (headers["Content-Type"], headers["ETag"]) == ("text/css; charset=utf-8", '"1"')
