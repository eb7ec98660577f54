//! A component that needs a transaction: it moves money between accounts, all of it or none.

use wasm_host_guest::postgres::client::{self, Transaction};
use wasm_host_guest::postgres::types::{Error, Scalar, Value};
use wasm_host_guest::{Method, Request, Response, Service, service};

const TAKE: &str = "update accounts set balance = balance - $1 where owner = $2 and balance >= $1";
const GIVE: &str = "update accounts set balance = balance + $1 where owner = $2";
const BALANCE: &str = "select balance from accounts where owner = $1";

struct Ledger;

impl Service for Ledger {
    async fn handle(request: Request) -> Response {
        if request.path != "/transfer" || !matches!(request.method, Method::Post) {
            return Response::problem(404, "Not Found", "There is only POST /transfer.");
        }
        let query = request.query.unwrap_or_default();
        let (Some(from), Some(to), Some(Ok(amount))) = (
            parameter(&query, "from"),
            parameter(&query, "to"),
            parameter(&query, "amount").map(str::parse::<i64>),
        ) else {
            return Response::problem(400, "Bad Request", "`from`, `to` and `amount` are needed.");
        };
        match transfer(from, to, amount).await {
            Ok(Done::Moved { left }) => Response::json(200, format!("{{\"left\":{left}}}")),
            Ok(Done::Refused(why)) => Response::problem(409, "Conflict", why),
            Err(error) => {
                eprintln!("a transfer failed: {error:?}");
                Response::problem(503, "Service Unavailable", "Nothing was moved.")
            }
        }
    }
}

enum Done {
    Moved { left: i64 },
    Refused(&'static str),
}

/// What fails in here drops the transaction, which rolls it back.
async fn transfer(from: &str, to: &str, amount: i64) -> Result<Done, Error> {
    let transaction = client::begin().await?;
    if change(&transaction, TAKE, amount, from).await? == 0 {
        transaction.rollback().await?;
        return Ok(Done::Refused("There is not enough on the account."));
    }
    if change(&transaction, GIVE, amount, to).await? == 0 {
        transaction.rollback().await?;
        return Ok(Done::Refused("There is no such account."));
    }
    let left = balance(&transaction, from).await?;
    transaction.commit().await?;
    Ok(Done::Moved { left })
}

async fn change(
    transaction: &Transaction,
    statement: &str,
    amount: i64,
    owner: &str,
) -> Result<u64, Error> {
    let parameters = vec![Value::Scalar(Scalar::Int64(amount)), text(owner)];
    transaction.execute(statement.to_string(), parameters).await
}

async fn balance(transaction: &Transaction, owner: &str) -> Result<i64, Error> {
    let (_columns, mut batches, done) =
        transaction.query(BALANCE.to_string(), vec![text(owner)]).await?;
    let mut found = 0;
    while let Some(batch) = batches.next().await {
        for value in batch.into_iter().flatten() {
            if let Value::Scalar(Scalar::Int64(balance)) = value {
                found = balance;
            }
        }
    }
    done.await?;
    Ok(found)
}

fn text(text: &str) -> Value {
    Value::Scalar(Scalar::Text(text.to_string()))
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

service!(Ledger);
