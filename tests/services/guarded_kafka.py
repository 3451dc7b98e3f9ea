"""A Kafka that checks everybody: OAUTHBEARER by the keys of a real OIDC provider, IAM's tokens by their signature,
SCRAM, PLAIN, and certificates of clients. A connection is ended with its credential, or when its time is over."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.services.certificates import Authority
from tests.services.kafka import KafkaBroker, running_broker
from tests.services.kafka_install import jars
from tests.services.oidc import AUDIENCE, Client, OidcProvider
from tests.services.programs import executable

SECRET = "s3cret/+: word"
ENDS_AFTER = 8
"""Seconds after which the broker ends connections: by password, by IAM, and by a token of ``BRIEF``."""
RELAY, BRIEF = Client("relay", SECRET), Client("brief", SECRET, seconds=ENDS_AFTER)
"""Who may have tokens."""
ACCESS_KEY, SECRET_KEY, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
NOWHERE_ELSE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
AWS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, **NOWHERE_ELSE}
"""The variables from which AWS's libraries read that key; nothing else is asked."""
PASSWORDS = {"relay": "first-password", "other": "second-password"}
"""The users of PLAIN."""
_BEARER = "org.apache.kafka.common.security.oauthbearer"
_LOGIN = "org.apache.kafka.common.security"


_PATIENT = {"open_timeout": "2m", "publish_timeout": "1m", "request_timeout": "5m", "transaction_timeout": "5m"}
"""Of a sink on a machine that does many other things."""


@dataclass
class GuardedKafka:
    broker: KafkaBroker
    provider: OidcProvider
    authority: Authority
    stranger: Authority
    """One that the broker does not know."""
    users: Path
    """The passwords of PLAIN: a file for each user."""

    def oauth(self, client: Client = RELAY, **others: Any) -> dict[str, Any]:
        """The keys of a sink that fetches its tokens."""
        return self._keys(
            "OAUTH",
            sasl_mechanism="OAUTHBEARER",
            sasl_oauthbearer_token_endpoint_url=self.provider.token_endpoint,
            sasl_oauthbearer_client_id=client.id,
            sasl_oauthbearer_client_secret=client.secret,
            **others,
        )

    def token(self, token: str) -> dict[str, Any]:
        """The keys of a sink that is given one."""
        return self._keys("OAUTH", sasl_mechanism="OAUTHBEARER", sasl_oauthbearer_token=token)

    def iam(self) -> dict[str, Any]:
        """The keys of a sink that signs its tokens with what AWS's variables say."""
        return self._keys("IAM", sasl_mechanism="AWS_MSK_IAM", aws_region=REGION)

    def password(self, user: str, password: str, mechanism: str = "PLAIN") -> dict[str, Any]:
        """The keys of a sink with a password."""
        named = {"sasl_plain_username": user, "sasl_plain_password": password}
        return self._keys("AUTH", sasl_mechanism=mechanism, **named)

    def certificate(self, cert: Path | None, key: Path | None) -> dict[str, Any]:
        """The keys of a sink that has a certificate of its own, or none."""
        files = {"ssl_certfile": cert and str(cert), "ssl_keyfile": key and str(key)}
        return self._keys("MTLS", security_protocol="SSL", **files)

    def _keys(self, listener: str, **keys: Any) -> dict[str, Any]:
        bootstrap, cafile = self.broker.listener(listener), str(self.authority.cert)
        usual = {"security_protocol": "SASL_SSL", "bootstrap_servers": bootstrap, "ssl_cafile": cafile}
        return usual | _PATIENT | keys

    def allow(self, principal: str, prefix: str, operation: str = "All") -> None:
        """From now on only those to whom it is allowed may do anything with the topics of a prefix."""
        tool = ["org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.broker.bootstrap]
        rule = ["--add", "--allow-principal", principal, "--resource-pattern-type", "prefixed", "--topic", prefix]
        self.broker.run(*tool, *rule, "--operation", operation)

    def deny(self, principal: str, kind: str, prefix: str) -> None:
        """From now on they may not write to the resources of a kind (``--topic``, ...) with a prefix."""
        self.broker.run(*self._rule("--add", principal, kind, prefix))

    def permit(self, principal: str, kind: str, prefix: str) -> None:
        """Takes that back."""
        self.broker.run(*self._rule("--remove", principal, kind, prefix), "--force")

    def _rule(self, change: str, principal: str, kind: str, prefix: str) -> list[str]:
        tool = ["org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.broker.bootstrap, change]
        whom = ["--deny-principal", principal, "--operation", "Write"]
        return [*tool, *whom, "--resource-pattern-type", "prefixed", kind, prefix]

    def set_plain(self, user: str, password: str) -> None:
        """Gives a user of PLAIN a password, instead of the one before."""
        (self.users / "next").write_text(password)
        (self.users / "next").replace(self.users / user)

    def set_scram(self, user: str, password: str) -> None:
        """Gives a user of SCRAM a password, instead of the one before."""
        tool = ["kafka.admin.ConfigCommand", "--bootstrap-server", self.broker.bootstrap]
        change = ["--entity-type", "users", "--entity-name", user]
        self.broker.run(*tool, "--alter", *change, "--add-config", f"SCRAM-SHA-512=[password={password}]")


@contextmanager
def guarded_kafka(folder: Path, secret: str = SECRET, password: str = PASSWORDS["relay"]) -> Iterator[GuardedKafka]:
    """Both servers, with what they need in a folder; killed in the end. ``secret`` and ``password`` are relay's own."""
    authority = Authority(folder / "authority")
    provider = OidcProvider(folder / "provider", (replace(RELAY, secret=secret), BRIEF))
    classes, users = folder / "classes", folder / "users"
    users.mkdir()
    for user, word in (PASSWORDS | {"relay": password}).items():
        (users / user).write_text(word)
    with ExitStack() as stack:
        stack.callback(provider.stop)
        provider.start()
        jwks = folder / "jwks.json"
        jwks.write_bytes(provider.jwks())
        _compile(classes)
        broker = stack.enter_context(
            running_broker(
                settings={**_tls(authority), **_oauth(provider, jwks), **_iam(), **_passwords(users), **_RIGHTS},
                listeners={"OAUTH": "SASL_SSL", "IAM": "SASL_SSL", "AUTH": "SASL_SSL", "MTLS": "SSL"},
                options=(f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={jwks.as_uri()}",),
                classpath=f":{classes}",
            )
        )
        yield GuardedKafka(broker, provider, authority, Authority(folder / "stranger"), users)


def _compile(classes: Path) -> None:
    sources = map(str, (Path(__file__).parent / "iam").glob("*.java"))
    command = [executable("javac"), "-proc:none", "-cp", f"{jars()}/*", "-d", str(classes), *sources]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


_RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",  # everyone who uses the listener PLAINTEXT
    "allow.everyone.if.no.acl.found": "true",
}


def _tls(authority: Authority) -> dict[str, str]:
    cert, key = authority.issue("broker")
    both = authority.folder / "both.pem"
    both.write_text(key.read_text() + cert.read_text())
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.cert),
        "listener.name.mtls.ssl.client.auth": "required",
    }


def _oauth(provider: OidcProvider, jwks: Path) -> dict[str, str]:
    return {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.oauth.oauthbearer.sasl.jaas.config": f"{_BEARER}.OAuthBearerLoginModule required;",
        "listener.name.oauth.oauthbearer.sasl.server.callback.handler.class": (
            f"{_BEARER}.OAuthBearerValidatorCallbackHandler"
        ),
        # By default Kafka 4.1 looks at what is in a token, but not at its signature.
        "sasl.oauthbearer.jwt.validator.class": f"{_BEARER}.BrokerJwtValidator",
        "sasl.oauthbearer.jwks.endpoint.url": jwks.as_uri(),
        "sasl.oauthbearer.expected.audience": AUDIENCE,
        "sasl.oauthbearer.expected.issuer": provider.issuer,
        "sasl.oauthbearer.clock.skew.seconds": "0",
        "listener.name.oauth.oauthbearer.connections.max.reauth.ms": "3600000",
    }


def _iam() -> dict[str, str]:
    options = {"access": ACCESS_KEY, "secret": SECRET_KEY, "region": REGION, "seconds": str(ENDS_AFTER)}
    options["unsecuredLoginStringClaim_sub"] = "broker"  # where there are options, Kafka wants its own to be among them
    said = " ".join(f'{name}="{value}"' for name, value in options.items())
    return {
        "listener.name.iam.oauthbearer.sasl.jaas.config": f"{_BEARER}.OAuthBearerLoginModule required {said};",
        "listener.name.iam.oauthbearer.sasl.server.callback.handler.class": "IamValidator",
        "listener.name.iam.oauthbearer.connections.max.reauth.ms": "3600000",
    }


def _passwords(users: Path) -> dict[str, str]:
    milliseconds = str(ENDS_AFTER * 1000)
    return {
        "listener.name.auth.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
        "listener.name.auth.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required folder='{users}';",
        "listener.name.auth.plain.sasl.server.callback.handler.class": "PlainFiles",
        "listener.name.auth.scram-sha-512.sasl.jaas.config": f"{_LOGIN}.scram.ScramLoginModule required;",
        "listener.name.auth.plain.connections.max.reauth.ms": milliseconds,
        "listener.name.auth.scram-sha-512.connections.max.reauth.ms": milliseconds,
    }
