//! What is read and written: every type, and columns.

use super::*;

#[tokio::test]
async fn every_type_makes_the_way_there_and_back() {
    let bench = Bench::new("types").await;
    bench.execute("create type mood as enum ('sad', 'happy')").await.unwrap();
    bench.execute("create domain small as int4 check (value < 10)").await.unwrap();
    for (name, value, shown) in [
        ("bool", Scalar::Boolean(true), "true"),
        ("int2", Scalar::Int16(-3), "-3"),
        ("int4", Scalar::Int32(i32::MIN), "-2147483648"),
        ("int8", Scalar::Int64(i64::MAX), "9223372036854775807"),
        ("float4", Scalar::Float32(0.1), "0.1"),
        ("float8", Scalar::Float64(-0.1), "-0.1"),
        ("text", Scalar::Text("ä€😀".into()), "ä€😀"),
        ("varchar", Scalar::Text("v".into()), "v"),
        ("name", Scalar::Text("n".into()), "n"),
        ("mood", Scalar::Text("happy".into()), "happy"),
        ("bytea", Scalar::Bytes(vec![0, 255]), "\\x00ff"),
        ("date", Scalar::Date(Date { year: 2024, month: 2, day: 29 }), "2024-02-29"),
        ("date", Scalar::Date(Date { year: 0, month: 12, day: 31 }), "0001-12-31 BC"),
        ("time", Scalar::Time(time(24, 0)), "24:00:00"),
        ("timestamp", Scalar::Timestamp(noon()), "1969-07-20 12:00:00.000001"),
        ("timestamptz", Scalar::TimestampTz(noon()), "1969-07-20 12:00:00.000001+00"),
        (
            "uuid",
            Scalar::Uuid("0123abcd-0000-1111-2222-333344445555".into()),
            "0123abcd-0000-1111-2222-333344445555",
        ),
        ("json", Scalar::Json("{\"a\" :1}".into()), "{\"a\" :1}"),
        ("jsonb", Scalar::Json("{\"a\": 1}".into()), "{\"a\": 1}"),
        (
            "numeric",
            Scalar::Numeric("-12345678901234567890.1200".into()),
            "-12345678901234567890.1200",
        ),
        ("numeric", Scalar::Numeric("0.00001000".into()), "0.00001000"),
        ("numeric", Scalar::Numeric("NaN".into()), "NaN"),
    ] {
        let sent = Value::Scalar(value.clone());
        let statement = format!("select $1::{name}, $1::{name}::text, array[$1::{name}, null]");
        let rows = bench.query(&statement, vec![sent.clone()]).await.unwrap();
        assert_eq!(rows.columns[0].type_name, name);
        assert_eq!(rows.columns[2].type_name, format!("{name}[]"));
        let row = collect(rows).await.unwrap().remove(0);
        assert_eq!(format!("{:?}", row[0]), format!("{sent:?}"));
        let text = Value::Scalar(Scalar::Text(shown.into()));
        assert_eq!(format!("{:?}", row[1]), format!("{text:?}"));
        let array = Value::Array(vec![Some(value), None]);
        assert_eq!(format!("{:?}", row[2]), format!("{array:?}"));
        // The other way: the array as a parameter, its first element back.
        let statement = format!("select ($1::{name}[])[1]");
        let rows = bench.query(&statement, vec![array]).await.unwrap();
        let row = collect(rows).await.unwrap().remove(0);
        assert_eq!(format!("{:?}", row[0]), format!("{sent:?}"), "{name}[]");
    }
    let small = bench.query("select $1::small", vec![Value::Scalar(Scalar::Int64(7))]).await;
    let small = collect(small.unwrap()).await.unwrap();
    assert!(matches!(small[0][0], Value::Scalar(Scalar::Int32(7))));
    let rows = bench.query("select null::int4, '{}'::int4[]", Vec::new()).await.unwrap();
    assert_eq!(format!("{:?}", collect(rows).await.unwrap()[0]), "[Value::Null, Value::Array([])]");
}

fn time(hour: u8, microsecond: u32) -> Time {
    Time { hour, minute: 0, second: 0, microsecond }
}

fn noon() -> Timestamp {
    Timestamp { date: Date { year: 1969, month: 7, day: 20 }, time: time(12, 1) }
}

#[tokio::test]
async fn columns_are_known_without_rows_and_trouble_names_them() {
    let bench = Bench::new("columns").await;
    let rows = bench.query("select 1 as a, 'x'::text as b where false", Vec::new()).await.unwrap();
    let columns: Vec<_> = rows.columns.iter().map(|c| (&*c.name, &*c.type_name)).collect();
    assert_eq!(columns, [("a", "int4"), ("b", "text")]);
    assert_eq!(rows.done.await.unwrap().unwrap(), 0);

    let error = bench.query("select 1, '1 day'::interval as wait", Vec::new()).await.unwrap_err();
    let Error::Unsupported(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("column 2 \"wait\" of type interval"), "{text}");
    assert!(text.contains("\"wait\"::text"), "{text}");
    // A value that only shows up among the rows ends them.
    let rows = bench.query("select 'infinity'::date as d", Vec::new()).await;
    let error = match rows {
        Ok(rows) => collect(rows).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("\"d\"")), "{error:?}");
    let error = bench.query("select $1::int4", Vec::new()).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("1 parameters, 0")));
    let text = vec![Value::Scalar(Scalar::Text("1".into()))];
    let error = bench.query("select $1::int4", text).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("parameter 1")));
    assert!(matches!(bench.execute("copy x to stdout").await, Err(Error::Unsupported(_))));
    assert_eq!(bench.one("select pg_sleep(0)").await, "Value::Null");
    bench.assert_clean().await;
}
