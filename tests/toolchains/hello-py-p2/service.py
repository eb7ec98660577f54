"""A service of WASI 0.2 as componentize-py makes it: a whole answer, a streamed one and a broken one."""

from componentize_py_types import Ok
from wit_world.exports import IncomingHandler as Protocol
from wit_world.imports.types import Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam


class IncomingHandler(Protocol):
    def handle(self, request: IncomingRequest, response_out: ResponseOutparam) -> None:
        path = request.path_with_query() or "/"
        if path == "/raise":
            raise ValueError("nobody catches this")
        pieces = [f"piece {n}\n" for n in range(100)] if path == "/stream" else [f"Hello from Python at {path}\n"]
        fields = [("content-type", b"text/plain")]
        if path != "/stream":
            fields.append(("content-length", str(len(pieces[0])).encode()))
        response = OutgoingResponse(Fields.from_list(fields))
        body = response.body()
        ResponseOutparam.set(response_out, Ok(response))
        with body.write() as stream:
            for piece in pieces:
                stream.blocking_write_and_flush(piece.encode())
        OutgoingBody.finish(body, None)
