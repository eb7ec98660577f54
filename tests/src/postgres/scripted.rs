//! Something that speaks the protocol of a Postgres, and does to one statement what no server does.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A statement that has this in its text is answered with a row that has none of the columns that were promised.
pub const SHORT_ROW: &str = "short row";

/// A server that answers every query with one column, `n`, which is 1.
pub struct Scripted {
    pub address: String,
}

impl Scripted {
    pub async fn start() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                // It is over when the host hangs up.
                tokio::spawn(async move { drop(serve(stream).await) });
            }
        });
        Self { address }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    // Asked whether it encrypts, it says no; then the login comes.
    let mut login = read(&mut stream).await?;
    if login.len() == 4 {
        stream.write_all(b"N").await?;
        login = read(&mut stream).await?;
    }
    let login = String::from_utf8_lossy(&login).into_owned();
    let mark = login.split("wasm_host.connection=").nth(1).and_then(|rest| rest.split('\0').next());
    let mark = mark.unwrap_or_default();
    let ready = message(b'Z', b"I");
    stream.write_all(&[message(b'R', &[0; 4]), ready.clone()].concat()).await?;
    let mut is_short = false;
    loop {
        let kind = stream.read_u8().await?;
        let body = read(&mut stream).await?;
        let text = String::from_utf8_lossy(&body);
        let done = || message(b'C', b"SELECT 1\0");
        let answer = match kind {
            b'Q' if text.contains("pg_backend_pid") => {
                let row = row(&[b"7", b"7", mark.as_bytes()]);
                let columns = columns(&[("pid", 23, 0), ("started", 20, 0), ("mark", 25, 0)]);
                [columns, row, done(), ready.clone()].concat()
            }
            b'Q' => [message(b'C', b"SET\0"), ready.clone()].concat(),
            b'P' => {
                is_short = text.contains(SHORT_ROW);
                message(b'1', b"")
            }
            b'D' => [message(b't', &[0, 0]), columns(&[("n", 23, 1)])].concat(),
            b'B' => message(b'2', b""),
            b'E' => {
                let values: &[&[u8]] = if is_short { &[] } else { &[&[0, 0, 0, 1]] };
                [row(values), done()].concat()
            }
            b'C' => message(b'3', b""),
            b'S' => ready.clone(),
            _ => return Ok(()),
        };
        stream.write_all(&answer).await?;
    }
}

/// What follows a length that counts itself.
async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    let mut body = vec![0; usize::try_from(length).unwrap().saturating_sub(4)];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// Columns by name, type and format.
fn columns(columns: &[(&str, u32, u16)]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, kind, format) in columns {
        body.extend(name.as_bytes());
        // Of no table; of any size, without a modifier.
        body.extend([0; 7]);
        body.extend(kind.to_be_bytes());
        body.extend([0xff; 6]);
        body.extend(format.to_be_bytes());
    }
    message(b'T', &body)
}

fn row(values: &[&[u8]]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
    }
    message(b'D', &body)
}
