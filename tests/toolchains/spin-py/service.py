"""A service as one writes it with Spin's SDK for Python: each path asks one of Spin's interfaces."""

from urllib import parse

from componentize_py_types import Err
from spin_sdk import http, key_value, llm, postgres, redis, sqlite, variables
from spin_sdk.http import Request, Response


async def rows(answer):
    """Everything that came, each row as a list."""
    columns, stream, end = answer
    found = []
    with stream:
        while not stream.writer_dropped:
            found.extend(await stream.read(64))
    ended = await end.read()
    if isinstance(ended, Err):
        raise ended
    return columns, found


async def query(statement):
    with await postgres.Connection.open("shop") as connection:
        columns, found = await rows(await connection.query(statement, []))
        names = " ".join(column.name for column in columns)
        return "\n".join([names] + [" ".join(str(value.value) for value in row) for row in found])


async def notes(statement):
    with await sqlite.Connection.open_default() as connection:
        columns, found = await rows(await connection.execute(statement, []))
        lines = [" ".join(str(value.value) for value in row.values) for row in found]
        return "\n".join([" ".join(columns)] + lines)


async def ask_redis(_):
    with await redis.open("redis://localhost:6379"):
        return "it is there"


async def infer(prompt):
    return llm.infer("gemma3", prompt).text


async def embed(text):
    made = llm.generate_embeddings("all-minilm", [text])
    return f"{made.embeddings} ({made.usage.prompt_token_count})"


async def store(value):
    with await key_value.open_default() as bucket:
        await bucket.set("one", value.encode())
        return (await bucket.get("one")).decode()


async def variable(name):
    return await variables.get(name)


async def outside(url):
    response = await http.send(Request("GET", url, {}, None))
    return f"{response.status} {response.body.decode()}"


async def shop(name):
    """Everything at once, as the service in Rust does it."""
    price = (await query(f"select {len(name)}::int as price")).partition("\n")[2]
    last = await store(name)
    return f"python: {name} for {price}, last {last}: {await infer(f'Praise {name}')}"


ANSWERS = {
    "/shop": shop,
    "/query": query,
    "/sqlite": notes,
    "/store": store,
    "/variable": variable,
    "/redis": ask_redis,
    "/infer": infer,
    "/embed": embed,
    "/fetch": outside,
}


class HttpHandler(http.Handler):
    async def handle_request(self, request: Request) -> Response:
        uri = parse.urlparse(request.uri)
        answer = ANSWERS.get(uri.path)
        plain = {"content-type": "text/plain"}
        if answer is None:
            return Response(200, plain, b"Hello from Spin's Python\n")
        try:
            text = await answer(parse.unquote(uri.query))
            return Response(200, plain, text.encode())
        except Err as error:
            return Response(502, plain, repr(error.value).encode())
