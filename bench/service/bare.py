"""What the coordinator is measured against: a bare Starlette application under uvicorn, with uvloop and httptools.

A POST is read and answered with 204, a GET with as many bytes as it asks for. Where it is told so, it also verifies an
Ed25519 signature for each request, as the active model must. `python -m bench.service.bare` prints its port.
"""

import argparse
import socket

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

SIGNED_BYTES = 350  # about as many as the coordinator's requests sign


def bare_app(verify: bool) -> Starlette:
    """The application."""
    message, key = bytes(SIGNED_BYTES), Ed25519PrivateKey.generate()
    public, signature = key.public_key(), key.sign(message)
    answers: dict[int, bytes] = {}

    def check() -> None:
        if verify:
            public.verify(signature, message)

    async def post(request: Request) -> Response:
        check()
        await request.body()
        return Response(status_code=204)

    async def get(request: Request) -> Response:
        check()
        size = int(request.path_params["size"])
        return Response(answers.setdefault(size, bytes(size)), media_type="application/octet-stream")

    return Starlette(routes=[Route("/post", post, methods=["POST"]), Route("/get/{size}", get)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verify", action="store_true", help="verify a signature for each request")
    options = parser.parse_args()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(2048)
        print(sock.getsockname()[1], flush=True)
        config = uvicorn.Config(
            bare_app(options.verify), loop="uvloop", http="httptools", access_log=False, log_level="warning"
        )
        uvicorn.Server(config).run([sock])


if __name__ == "__main__":
    main()
