"""Calls all that `wasm_host` has for buckets, a database and the configuration, and answers with what each call gave."""

from wasm_host import Bucket, Request, Response, configured, execute, query, text


async def helpers(request: Request) -> Response:
    key = request.path.removeprefix("/helpers").removeprefix("/")
    if key:
        value = configured(key)
        return text("nothing\n" if value is None else f"{value}\n")
    if request.query == "sql":
        return text("".join(f"{line}\n" for line in await told()))
    bucket = Bucket(request.query)
    lines = [shown(bucket.get("note"))]
    bucket.set("note", b"\x00\xffo")
    lines.append(shown(bucket.get("note")))
    bucket.set("other", b"tea")
    lines.append(" ".join(bucket.keys()))
    bucket.delete("note")
    lines.append(shown(bucket.get("note")))
    lines += [str(bucket.increment("count", delta)) for delta in (40, -41)]
    return text("".join(f"{line}\n" for line in lines))


async def told() -> list:
    rows = await query("select text from greetings where id > $1 and text <> $2 order by id", 1, "Bonjour")
    inserted = await execute("insert into greetings (text) values ($1)", "Ciao")
    return [*(line for [line] in rows), inserted, await execute("delete from greetings where text = $1", "Ciao")]


def shown(value: bytes | None) -> str:
    return "nothing" if value is None else value.hex()
