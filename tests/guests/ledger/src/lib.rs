//! A component that needs a transaction: it moves money between accounts, all of it or none.

use wasm_host_guest::{IntoResponse, Json, Method, Problem, Request, StatusCode, service, sql};

const TAKE: &str = "update accounts set balance = balance - $1 where owner = $2 and balance >= $1";
const GIVE: &str = "update accounts set balance = balance + $1 where owner = $2";
const BALANCE: &str = "select balance from accounts where owner = $1";

service!(serve);

async fn serve(request: Request) -> Result<impl IntoResponse, Problem> {
    if request.uri().path() != "/transfer" || request.method() != Method::POST {
        return Err(Problem::new(StatusCode::NOT_FOUND, "There is only POST /transfer."));
    }
    let query = request.uri().query().unwrap_or_default();
    let (Some(from), Some(to), Some(Ok(amount))) = (
        parameter(query, "from"),
        parameter(query, "to"),
        parameter(query, "amount").map(str::parse::<i64>),
    ) else {
        let detail = "`from`, `to` and `amount` are needed.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    };
    let left = transfer(from, to, amount).await?;
    Ok(Json(serde_json::json!({ "left": left })))
}

/// What fails in here drops the transaction, which rolls it back.
async fn transfer(from: &str, to: &str, amount: i64) -> Result<i64, Problem> {
    let transaction = sql::begin().await?;
    if transaction.query(TAKE).bind(amount).bind(from).execute().await? == 0 {
        transaction.rollback().await?;
        return Err(Problem::new(StatusCode::CONFLICT, "There is not enough on the account."));
    }
    if transaction.query(GIVE).bind(amount).bind(to).execute().await? == 0 {
        transaction.rollback().await?;
        return Err(Problem::new(StatusCode::CONFLICT, "There is no such account."));
    }
    let left = transaction.query(BALANCE).bind(from).fetch_one().await?;
    transaction.commit().await?;
    Ok(left)
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
