"""A server outside the host, which says what each request tells of its place in a trace.

The first line of its output is its address, and then each request is one: an object with its path and with all headers of
the names `traceparent` and `tracestate`. It answers as a model server does, and everything else with an empty object.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LAST = {
    "model": "m",
    "message": {"role": "assistant", "content": "fine"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 26,
    "eval_count": 298,
}


class Peer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        self.read_body()
        said = {name: self.headers.get_all(name, []) for name in ("traceparent", "tracestate")}
        print(json.dumps({"path": self.path, **said}), flush=True)
        kind, answer = "application/json", {}
        if self.path == "/api/chat":
            kind, answer = "application/x-ndjson", LAST
        elif self.path == "/api/version":
            answer = {"version": "0.33.0"}
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self) -> None:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            self.rfile.read(int(self.headers.get("content-length", 0)))
            return
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
        self.rfile.readline()

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
