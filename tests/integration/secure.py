"""Members with TLS on both ports, and clients that talk to them over it."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from pathlib import Path

from kvd.testing.servers import FORM, HOST, Make, Server, cluster, free_ports
from kvd.tls.generate import main


class Folder:
    """An authority and what it vouches for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.make("--client", "anna", "--client", "bert", "--client", "root")

    def make(self, *arguments: str) -> None:
        main([str(self.path), *arguments])

    def file(self, name: str) -> str:
        return str(self.path / name)

    def context(self, client: str = "") -> ssl.SSLContext:
        """What a client speaks TLS with."""
        made = ssl.create_default_context(cafile=self.file("ca.pem"))
        if client:
            made.load_cert_chain(
                self.file(f"client-{client}.pem"), self.file(f"client-{client}.key")
            )
        return made

    def options(self, **others: object) -> dict[str, object]:
        """Of a member whose ports are both secured."""
        return {
            "client-transport-security": {
                "cert-file": self.file("server.pem"),
                "key-file": self.file("server.key"),
                "client-cert-auth": True,
                "trusted-ca-file": self.file("ca.pem"),
                "client-crl-file": self.file("crl.pem"),
            },
            "peer-transport-security": {
                "cert-file": self.file("peer.pem"),
                "key-file": self.file("peer.key"),
                "client-cert-auth": True,
                "trusted-ca-file": self.file("ca.pem"),
            },
            "tls-reload-interval": 200,
            **others,
        }


def secured(
    folder: Path, files: Folder, size: int, make: Make = Make.KVD
) -> list[Server]:
    """
    Members whose URLs are https.

    Each has a second client port without TLS, on which the tests look after it.
    """
    servers = cluster(make, folder, size)
    ports = free_ports(size)
    for server, port in zip(servers, ports, strict=True):
        plain = str(server.options["listen-client-urls"])
        secure = f"https://{HOST}:{port}"
        server.options |= files.options()
        server.options["listen-client-urls"] = f"{secure},{plain}"
        server.options["advertise-client-urls"] = secure
        for name in (
            "listen-peer-urls",
            "initial-advertise-peer-urls",
            "initial-cluster",
        ):
            server.options[name] = str(server.options[name]).replace("http:", "https:")
    return servers


def secure_port(server: Server) -> int:
    url = str(server.options["listen-client-urls"]).partition(",")[0]
    return int(url.rpartition(":")[2])


class Client:
    """One client's connection; a new one for each request unless ``keep``."""

    def __init__(self, server: Server, context: ssl.SSLContext, *, keep: bool) -> None:
        self._context = context
        self._keep = keep
        self._port = secure_port(server)
        self._connection: http.client.HTTPSConnection | None = None

    def ask(
        self, path: str, method: str = "GET", form: str | None = None, **headers: str
    ) -> tuple[int, object]:
        """:raises OSError: the handshake or the connection failed."""
        connection = self._connection or http.client.HTTPSConnection(
            HOST, self._port, timeout=10, context=self._context
        )
        self._connection = None
        try:
            given = {**(FORM if form else {}), **headers}
            connection.request(method, path, form, given)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise
        if self._keep:
            self._connection = connection
        else:
            connection.close()
        return answer.status, json.loads(body or b"null")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Busy(threading.Thread):
    """Writes and reads again and again; every answer must be a good one."""

    def __init__(self, client: Client, key: str) -> None:
        super().__init__()
        self._client = client
        self._key = key
        self._ending = threading.Event()
        self.done = 0
        self.trouble: list[str] = []

    def run(self) -> None:
        while not self._ending.is_set() and not self.trouble:
            try:
                wrote, _ = self._client.ask(
                    f"/v2/keys/{self._key}", "PUT", f"value={self.done}"
                )
                read, event = self._client.ask(f"/v2/keys/{self._key}?quorum=true")
            except (OSError, http.client.HTTPException) as problem:
                self.trouble.append(repr(problem))
                break
            seen = event["node"]["value"] if read == 200 else ""
            if wrote not in {200, 201} or seen != str(self.done):
                self.trouble.append(f"{wrote} {read} {seen} after {self.done}")
            self.done += 1
        self._client.close()

    def end(self) -> None:
        self._ending.set()
        self.join(30)


def eventually(what: str, look, seconds: float = 15.0) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
