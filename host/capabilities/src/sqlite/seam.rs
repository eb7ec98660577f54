//! Statements through a seam, as `sqlite.execute`: in front of a database, or in place of one.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Map, json};

use super::backend::{Connection, Database, Error, Output, Value};
use crate::context::RequestContext;
use crate::function::{self, FunctionCall, NoAnswer, Seam};

pub(super) struct Seamed {
    seam: Arc<dyn Seam>,
    database: Option<Arc<dyn Database>>,
}

struct SeamedConnection {
    seam: Arc<dyn Seam>,
    connection: Option<Arc<dyn Connection>>,
}

impl Seamed {
    pub(super) fn scripted(seam: Arc<dyn Seam>) -> Self {
        Self { seam, database: None }
    }

    pub(super) fn watched(seam: Arc<dyn Seam>, database: Arc<dyn Database>) -> Self {
        Self { seam, database: Some(database) }
    }
}

impl Database for Seamed {
    fn name(&self) -> &str {
        self.database.as_ref().map_or("", |database| database.name())
    }

    fn open(&self) -> Arc<dyn Connection> {
        let connection = self.database.as_ref().map(|database| database.open());
        Arc::new(SeamedConnection { seam: self.seam.clone(), connection })
    }
}

impl Connection for SeamedConnection {
    fn execute(
        &self,
        statement: String,
        parameters: Vec<Value>,
        request: RequestContext,
    ) -> BoxFuture<'_, Result<Output, Error>> {
        let asked = {
            let (statement, parameters) = (statement.clone(), parameters.clone());
            move || {
                let mut arguments = Map::from_iter([("statement".to_owned(), statement.into())]);
                if !parameters.is_empty() {
                    arguments.insert("parameters".to_owned(), json!(parameters));
                }
                FunctionCall { function: "sqlite.execute".to_owned(), arguments }
            }
        };
        let connection = self.connection.as_ref();
        let backend = connection.map(|it| it.execute(statement, parameters, request.clone()));
        let unanswered = |none| match none {
            NoAnswer::Ended => Error::Cancelled,
            NoAnswer::Unreachable(why) => Error::Failed(why),
        };
        Box::pin(function::call(&self.seam, asked, request, backend, unanswered))
    }
}
