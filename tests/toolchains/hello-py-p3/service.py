"""A service of WASI 0.3 as componentize-py makes it: a whole answer, a streamed one and a broken one."""

import componentize_py_async_support
import wit_world
from componentize_py_types import Ok
from wit_world.exports import Handler as HandlerProtocol
from wit_world.imports.wasi_http_types import Fields, Request, Response


class Handler(HandlerProtocol):
    async def handle(self, request: Request) -> Response:
        path = request.get_path_with_query() or "/"
        if path == "/raise":
            raise ValueError("nobody catches this")
        pieces = [f"piece {n}\n" for n in range(100)] if path == "/stream" else [f"Hello from Python at {path}\n"]
        fields = [("content-type", b"text/plain")]
        if path != "/stream":
            fields.append(("content-length", str(len(pieces[0])).encode()))
        body, contents = wit_world.byte_stream()
        trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[1]
        componentize_py_async_support.spawn(send(body, pieces))
        return Response.new(Fields.from_list(fields), contents, trailers)[0]


async def send(body, pieces):
    with body:
        for piece in pieces:
            await body.write_all(piece.encode())
