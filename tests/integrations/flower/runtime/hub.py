"""A hub of applications on loopback, as a SuperLink asks Flower's: bundles, each with the signatures of who vouches."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True)
class Signer:
    """Somebody who reviews applications and signs those that a site may run."""

    name: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def entity(self) -> str:
        """A line of the file of `--trusted-entities`."""
        public = self.key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return f"{self.name}: {public.decode()}\n"

    def sign(self, bundle: bytes) -> dict[str, Any]:
        """Flower's signature of a bundle: over the time, 8 bytes big-endian, and the bundle's SHA-256."""
        signed_at = int(time.time())
        signature = self.key.sign(signed_at.to_bytes(8, "big") + sha256(bundle).digest())
        encoded = urlsafe_b64encode(signature).decode().rstrip("=")
        return {"public_key_id": self.name, "signature": encoded, "signed_at": signed_at}


@dataclass
class Hub:
    """Bundles and signatures by name and version, such as `@secagg/readings==1.0.0`."""

    url: str
    apps: dict[str, tuple[bytes, list[dict[str, Any]]]] = field(default_factory=dict)

    def publish(self, name: str, bundle: bytes, *signatures: dict[str, Any]) -> None:
        self.apps[name] = bundle, [*signatures]


@contextmanager
def hub() -> Iterator[Hub]:
    """One that ends with the test."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = f"{asked['app_id']}=={asked['app_version']}"
            self._answer({"fab_url": f"{here.url}/{name}", "verifications": here.apps[name][1]})

        def do_GET(self) -> None:
            self._answer(here.apps[self.path[1:]][0])

        def _answer(self, content: object) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Hub(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
