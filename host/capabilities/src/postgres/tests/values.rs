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
    assert!(
        matches!(&error, Error::InvalidParameter(text) if text.contains("a statement with 1 parameter is given 0"))
    );
    let text = vec![Value::Scalar(Scalar::Text("1".into()))];
    let read = collect(bench.query("select $1::int4", text).await.unwrap()).await.unwrap();
    assert!(matches!(read[0][0], Value::Scalar(Scalar::Int32(1))));
    let date = Scalar::Date(Date { year: 2024, month: 2, day: 29 });
    let error = bench.query("select $1::int4", vec![Value::Scalar(date)]).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("parameter 1")));
    assert_eq!(bench.one("select pg_sleep(0)").await, "Value::Null");
    bench.assert_clean().await;
}

fn words(text: &str) -> Value {
    Value::Scalar(Scalar::Text(text.into()))
}

#[tokio::test]
async fn text_is_taken_for_any_type_that_reads_text() {
    let bench = Bench::new("texts").await;
    for statement in [
        "create domain small as int4 check (value < 10)",
        "create domain numbers as int4[]",
        "create type pair as (a int4, b text)",
        "create type \"Mood\" as enum ('sad', 'happy')",
    ] {
        bench.execute(statement).await.unwrap();
    }
    for (name, given, shown) in [
        ("date", " 29 feb 2024", "2024-02-29"),
        ("time", "12:30", "12:30:00"),
        ("timestamp", "2024-02-29 12:30", "2024-02-29 12:30:00"),
        ("timestamptz", "2024-02-29 12:30+02", "2024-02-29 10:30:00+00"),
        ("bool", "yes", "true"),
        ("int2", " 7 ", "7"),
        ("int8", "-9", "-9"),
        ("float4", "0.1", "0.1"),
        ("float8", "1e-3", "0.001"),
        ("numeric", "1.5e3", "1500"),
        ("bytea", "\\x00ff", "\\x00ff"),
        ("uuid", "{0123ABCD-0000-1111-2222-333344445555}", "0123abcd-0000-1111-2222-333344445555"),
        ("jsonb", "{\"a\":1}", "{\"a\": 1}"),
        ("interval", "1 day", "1 day"),
        ("inet", "::1", "::1/128"),
        ("bit(3)", "101", "101"),
        ("char(3)", "ab", "ab"),
        ("int4range", "[1,4]", "[1,5)"),
        ("int4[]", "{1,2}", "{1,2}"),
        ("small", "7", "7"),
        ("numbers", "{1,2}", "{1,2}"),
        ("pair", "(1,x)", "(1,x)"),
        ("\"Mood\"", "happy", "happy"),
    ] {
        let statement = format!("select $1::{name}::text");
        let row = collect(bench.query(&statement, vec![words(given)]).await.unwrap()).await;
        assert_eq!(format!("{:?}", row.unwrap()[0][0]), format!("{:?}", words(shown)), "{name}");
    }
    let texts = |texts: &[&str]| {
        Value::Array(
            texts.iter().map(|text| Some(Scalar::Text((*text).into()))).chain([None]).collect(),
        )
    };
    for (name, given, shown) in [
        ("date[]", texts(&["2024-02-29", "infinity"]), "{2024-02-29,infinity,NULL}"),
        ("interval[]", texts(&["1 day"]), "{\"1 day\",NULL}"),
        ("numbers", texts(&["1"]), "{1,NULL}"),
        ("\"Mood\"[]", texts(&["sad"]), "{sad,NULL}"),
    ] {
        let statement = format!("select $1::{name}::text");
        let row = collect(bench.query(&statement, vec![given]).await.unwrap()).await;
        assert_eq!(format!("{:?}", row.unwrap()[0][0]), format!("{:?}", words(shown)), "{name}");
    }
    // More of them than the server is asked for at once, among others, in a transaction.
    let places: Vec<String> = (1..=201)
        .map(|n| if n % 3 == 0 { format!("${n}::int4::text") } else { format!("${n}::date::text") })
        .collect();
    let given = (1..=201)
        .map(|n| {
            if n % 3 == 0 {
                Value::Scalar(Scalar::Int32(n))
            } else {
                words(&format!("2000-01-{:02}", n % 28 + 1))
            }
        })
        .collect();
    let expected: Vec<String> = (1..=201)
        .map(|n| if n % 3 == 0 { n.to_string() } else { format!("2000-01-{:02}", n % 28 + 1) })
        .collect();
    let transaction = bench.database.begin(request()).await.unwrap();
    let statement = format!("select concat_ws(' ', {})", places.join(", "));
    // A function takes a hundred arguments.
    let statement =
        statement.replace("concat_ws(' ', ", "array_to_string(array[").replace(')', "], ' ')");
    let rows = transaction.query(statement, given, request()).await.unwrap();
    let row = collect(rows).await.unwrap().remove(0);
    assert_eq!(format!("{:?}", row[0]), format!("{:?}", words(&expected.join(" "))));
    drop(transaction);
    bench.until_idle().await;
    bench.assert_clean().await;
}

#[tokio::test]
async fn text_that_a_type_cannot_read_is_the_servers_error() {
    let bench = Bench::new("notexts").await;
    for (name, given, expected) in
        [("date", "2024-13-45", "22008"), ("interval", "soon", "22007"), ("int4", "x", "22P02")]
    {
        let statement = format!("select $1::{name}");
        let error = bench.query(&statement, vec![words(given)]).await.unwrap_err();
        assert_eq!(sqlstate(&error), expected);
    }
    let error = bench.query("select $1::date", vec![words("a\0")]).await.unwrap_err();
    assert!(matches!(&error, Error::InvalidParameter(text) if text.contains("zero")), "{error:?}");
    bench.assert_clean().await;
}

#[tokio::test]
async fn too_many_parameters_are_told_as_what_they_are() {
    let bench = Bench::new("many").await;
    let ones = |count| vec![Value::Scalar(Scalar::Int32(1)); count];
    let most: Vec<String> = (1..=65_535).map(|n| format!("${n}::int4")).collect();
    let statement = format!("select sum(x) from unnest(array[{}]) x", most.join(", "));
    let rows = collect(bench.query(&statement, ones(65_535)).await.unwrap()).await.unwrap();
    assert!(matches!(rows[0][0], Value::Scalar(Scalar::Int64(65_535))));
    let error = bench.query("select 1", ones(65_536)).await.unwrap_err();
    let Error::InvalidParameter(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("65535") && text.contains("65536") && text.contains("unnest"), "{text}");
    // A statement that asks for more is no lost connection.
    let more = format!("{statement}, (select $65536::int4) y");
    for given in [1, 0] {
        let error = collect_or_error(bench.query(&more, ones(given)).await).await;
        assert!(!matches!(&error, Error::Unavailable(_)), "{error:?}");
    }
    bench.assert_clean().await;
}

#[tokio::test]
async fn copy_is_unsupported_wherever_it_begins() {
    let bench = Bench::new("copy").await;
    for statement in
        ["copy x to stdout", "/* x */ copy x to stdout", "-- y\n; /* /* */ */ COPY x from stdin"]
    {
        let error = bench.execute(statement).await.unwrap_err();
        assert!(matches!(&error, Error::Unsupported(text) if text.contains("insert")), "{error:?}");
    }
    bench.assert_clean().await;
}

#[tokio::test]
async fn numbers_of_any_length_are_read_and_written() {
    let bench = Bench::new("long").await;
    let long = format!("{}.{}", "9".repeat(131_072), "8".repeat(16_383));
    let sent = vec![Value::Scalar(Scalar::Numeric(long.clone()))];
    let rows = collect(bench.query("select $1::numeric", sent).await.unwrap()).await.unwrap();
    assert!(matches!(&rows[0][0], Value::Scalar(Scalar::Numeric(text)) if *text == long));
}

#[tokio::test]
async fn numbers_of_few_bytes_and_many_digits_have_the_bound_of_a_row() {
    let bench = Bench::new("digits").await;
    let many = "select array_fill('1e131071'::numeric, array[1000])";
    let error = collect_or_error(bench.query(many, Vec::new()).await).await;
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("digits")), "{error:?}");
    let wide = format!("select {}", vec!["'1e131071'::numeric"; 200].join(", "));
    let error = collect_or_error(bench.query(&wide, Vec::new()).await).await;
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("larger")), "{error:?}");
}

async fn collect_or_error(rows: Result<Rows, Error>) -> Error {
    match rows {
        Ok(rows) => collect(rows).await.unwrap_err(),
        Err(error) => error,
    }
}

#[tokio::test]
async fn an_error_about_another_connection_is_no_lost_one() {
    let bench = Bench::new("another").await;
    let raise = "do $$ begin raise exception 'no such server' using errcode = '08001'; end $$";
    assert_eq!(sqlstate(&bench.execute(raise).await.unwrap_err()), "08001");
}
