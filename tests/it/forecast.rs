//! The weather service on a real Postgres: the reference application as it ships.
