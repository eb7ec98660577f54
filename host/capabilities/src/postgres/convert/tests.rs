use super::calendar::{
    date_from_days, days_from_date, microseconds_from_time, microseconds_from_timestamp,
    timestamp_from_microseconds,
};
use super::numeric;
use super::*;
use crate::postgres::backend::{Date, Error, Time, Timestamp, Value};

/// Numbers that repeat from run to run and still reach everywhere.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn back_and_forth(of: &Type, value: &Value) -> Value {
    let bytes = write(0, of, value).unwrap();
    read(of, bytes.bytes()).unwrap()
}

fn same(left: &Value, right: &Value) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

fn plain(kind: Kind) -> Type {
    Type::new(kind, None, "t")
}

fn random_scalar(kind: Kind, numbers: &mut Numbers) -> Scalar {
    let time = Time {
        hour: numbers.below(24) as u8,
        minute: numbers.below(60) as u8,
        second: numbers.below(60) as u8,
        microsecond: numbers.below(1_000_000) as u32,
    };
    let date = Date {
        year: numbers.below(9999) as i32 - 4000,
        month: numbers.below(12) as u8 + 1,
        day: numbers.below(28) as u8 + 1,
    };
    match kind {
        Kind::Boolean => Scalar::Boolean(numbers.below(2) == 1),
        Kind::Int16 => Scalar::Int16(numbers.next() as i16),
        Kind::Int32 => Scalar::Int32(numbers.next() as i32),
        Kind::Int64 => Scalar::Int64(numbers.next() as i64),
        Kind::Float32 => Scalar::Float32(f32::from_bits(numbers.next() as u32)),
        Kind::Float64 => Scalar::Float64(f64::from_bits(numbers.next())),
        Kind::Text => Scalar::Text(format!("ä€😀 {}", numbers.next())),
        Kind::Bytes => Scalar::Bytes(numbers.next().to_be_bytes().to_vec()),
        Kind::Date => Scalar::Date(date),
        Kind::Time => Scalar::Time(time),
        Kind::Timestamp => Scalar::Timestamp(Timestamp { date, time }),
        Kind::TimestampTz => Scalar::TimestampTz(Timestamp { date, time }),
        Kind::Uuid => Scalar::Uuid(format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            numbers.next() as u32,
            numbers.next() as u16,
            numbers.next() as u16,
            numbers.next() as u16,
            numbers.below(1 << 48),
        )),
        Kind::Json | Kind::Jsonb => Scalar::Json(format!("{{\"a\":{}}}", numbers.next())),
        _ => {
            let whole = numbers.next() >> numbers.below(64);
            let scale = numbers.below(30) as usize;
            let decimals: String =
                (0..scale).map(|_| char::from(b'0' + numbers.below(10) as u8)).collect();
            let zero = whole == 0 && decimals.bytes().all(|digit| digit == b'0');
            let sign = if numbers.below(2) == 1 && !zero { "-" } else { "" };
            let point = if scale > 0 { "." } else { "" };
            Scalar::Numeric(format!("{sign}{whole}{point}{decimals}"))
        }
    }
}

const KINDS: [Kind; 16] = [
    Kind::Boolean,
    Kind::Int16,
    Kind::Int32,
    Kind::Int64,
    Kind::Float32,
    Kind::Float64,
    Kind::Text,
    Kind::Bytes,
    Kind::Date,
    Kind::Time,
    Kind::Timestamp,
    Kind::TimestampTz,
    Kind::Uuid,
    Kind::Json,
    Kind::Jsonb,
    Kind::Numeric,
];

#[test]
fn every_kind_survives_the_way_there_and_back() {
    let mut numbers = Numbers(0x5eed);
    for kind in KINDS {
        for _ in 0..500 {
            let value = Value::Scalar(random_scalar(kind, &mut numbers));
            let back = back_and_forth(&plain(kind), &value);
            assert!(same(&back, &value), "{kind:?}: {value:?} became {back:?}");
        }
        assert!(matches!(back_and_forth(&plain(kind), &Value::Null), Value::Null));
        for length in [0, 1, 7] {
            let array = Value::Array(
                (0..length)
                    .map(|at| (at % 3 != 1).then(|| random_scalar(kind, &mut numbers)))
                    .collect(),
            );
            let of = Type::new(kind, Some(23), "t[]");
            assert!(same(&back_and_forth(&of, &array), &array), "{array:?}");
        }
    }
}

#[test]
fn dates_follow_the_calendar_for_every_day_of_a_thousand_years() {
    let mut date = Date { year: 1600, month: 1, day: 1 };
    for days in days_from_date(date).unwrap()..days_from_date(date).unwrap() + 365_250 {
        let found = date_from_days(days).unwrap();
        assert_eq!((found.year, found.month, found.day), (date.year, date.month, date.day));
        assert_eq!(days_from_date(found), Some(days));
        let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
        let length = match date.month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        date.day += 1;
        if date.day > length {
            (date.day, date.month) = (1, date.month + 1);
        }
        if date.month > 12 {
            (date.month, date.year) = (1, date.year + 1);
        }
    }
    let epoch = Date { year: 2000, month: 1, day: 1 };
    assert_eq!(days_from_date(epoch), Some(0));
}

#[test]
fn days_and_times_that_do_not_exist_are_refused() {
    for (month, day) in [(2, 30), (2, 29), (4, 31), (13, 1), (0, 1), (1, 0), (1, 32)] {
        assert_eq!(days_from_date(Date { year: 2023, month, day }), None, "{month}-{day}");
    }
    let time = |hour, minute, second, microsecond| Time { hour, minute, second, microsecond };
    assert_eq!(microseconds_from_time(time(24, 0, 0, 0)), Some(86_400_000_000));
    for wrong in [time(24, 0, 0, 1), time(0, 60, 0, 0), time(0, 0, 60, 0), time(0, 0, 0, 1_000_000)]
    {
        assert_eq!(microseconds_from_time(wrong), None);
    }
    let before = timestamp_from_microseconds(-1).unwrap();
    assert_eq!((before.date.year, before.time.microsecond), (1999, 999_999));
    assert_eq!(microseconds_from_timestamp(before), Some(-1));
}

#[test]
fn numeric_text_keeps_its_scale() {
    for (given, back) in [
        ("12.50", "12.50"),
        ("-0.0001", "-0.0001"),
        ("0", "0"),
        ("-0.00", "0.00"),
        ("+7.", "7"),
        (".5", "0.5"),
        ("00012345.6", "12345.6"),
        ("100000000", "100000000"),
        ("0.00000001", "0.00000001"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
    ] {
        let bytes = numeric::bytes(given).unwrap();
        assert_eq!(numeric::text(&bytes).as_deref(), Some(back), "{given}");
    }
    let longest = format!("{}.{}", "7".repeat(131_072), "3".repeat(16_383));
    for given in [longest.as_str(), &longest[131_070..], &longest[..131_074]] {
        let bytes = numeric::bytes(given).unwrap();
        assert_eq!(numeric::text(&bytes).as_deref(), Some(given));
        assert!(numeric::text_size(&bytes) >= given.len());
    }
    assert_eq!(numeric::bytes(&format!("1{longest}")), None);
    assert_eq!(numeric::bytes(&format!("{longest}1")), None);
    for wrong in ["", ".", "-", "1e3", "1 000", "0x1", "nan", "--1", "1.2.3", "١"] {
        assert_eq!(numeric::bytes(wrong), None, "{wrong}");
    }
}

fn refusal(of: &Type, value: &Value) -> String {
    match write(1, of, value) {
        Err(Error::InvalidParameter(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn parameters_widen_only_where_nothing_is_lost() {
    let int8 = Type::new(Kind::Int64, None, "int8");
    let wide = write(0, &int8, &Value::Scalar(Scalar::Int32(-2))).unwrap();
    assert_eq!(wide.bytes(), Some((-2_i64).to_be_bytes().as_slice()));
    let int4 = Type::new(Kind::Int32, None, "int4");
    assert!(write(0, &int4, &Value::Scalar(Scalar::Int64(7))).is_ok());
    assert_eq!(
        refusal(&int4, &Value::Scalar(Scalar::Int64(1 << 40))),
        "parameter 2 is int4 for the server, int64 was given, which is out of range"
    );
    assert_eq!(
        refusal(&int4, &Value::Scalar(Scalar::Text("7".into()))),
        "parameter 2 is int4 for the server, text was given"
    );
    assert_eq!(
        refusal(&int4, &Value::Scalar(Scalar::Boolean(true))),
        "parameter 2 is int4 for the server, boolean was given; give it as text, which the server reads"
    );
    let float8 = plain(Kind::Float64);
    assert!(write(0, &float8, &Value::Scalar(Scalar::Int64(1 << 53))).is_ok());
    assert!(write(0, &float8, &Value::Scalar(Scalar::Int64((1 << 53) + 1))).is_err());
    let float4 = plain(Kind::Float32);
    assert!(write(0, &float4, &Value::Scalar(Scalar::Float64(0.5))).is_ok());
    assert_eq!(
        refusal(&float4, &Value::Scalar(Scalar::Float64(0.1))),
        "parameter 2 is t for the server, float64 was given, which it cannot hold exactly; give it as text, \
         which the server reads and rounds"
    );
    assert!(write(0, &plain(Kind::Numeric), &Value::Scalar(Scalar::Int16(-3))).is_ok());
    let text = Value::Scalar(Scalar::Text("{}".into()));
    assert!(write(0, &plain(Kind::Jsonb), &text).is_ok());
    let zero = Value::Scalar(Scalar::Text("a\0b".into()));
    assert!(write(0, &plain(Kind::Text), &zero).is_err());
}

#[test]
fn floats_become_the_shortest_numeric_that_reads_back_as_the_same() {
    for (given, shown) in [
        (Scalar::Float64(0.1), "0.1"),
        (Scalar::Float32(0.1), "0.1"),
        (Scalar::Float64(-1e21), "-1000000000000000000000"),
        (Scalar::Float64(-0.0), "0"),
        (Scalar::Float64(f64::NAN), "NaN"),
        (Scalar::Float64(f64::INFINITY), "Infinity"),
        (Scalar::Float32(f32::NEG_INFINITY), "-Infinity"),
    ] {
        let back = back_and_forth(&plain(Kind::Numeric), &Value::Scalar(given));
        assert!(same(&back, &Value::Scalar(Scalar::Numeric(shown.into()))), "{back:?}");
    }
    for number in [f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.1 + 0.2] {
        let back = back_and_forth(&plain(Kind::Numeric), &Value::Scalar(Scalar::Float64(number)));
        let Value::Scalar(Scalar::Numeric(text)) = back else { panic!("{back:?}") };
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
    }
}

#[test]
fn refusals_name_the_parameter_and_the_way_out() {
    let interval = Type::new(Kind::Other, None, "interval");
    let text = refusal(&interval, &Value::Scalar(Scalar::Int32(1)));
    assert!(text.contains("parameter 2 is interval"), "{text}");
    assert!(text.contains("give it as text"), "{text}");
    let array = Value::Array(vec![Some(Scalar::Int32(1)), Some(Scalar::Text("x".into()))]);
    let text = refusal(&Type::new(Kind::Int32, Some(23), "int4[]"), &array);
    assert!(text.contains("text as element 2"), "{text}");
    assert!(refusal(&plain(Kind::Int32), &array).contains("an array was given"));
}

#[test]
fn malformed_bytes_never_panic() {
    let mut numbers = Numbers(0xbad);
    for kind in KINDS {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|_| numbers.below(4) as u8).collect();
            let _ = read(&plain(kind), Some(&bytes));
            let _ = read(&Type::new(kind, Some(23), "t[]"), Some(&bytes));
        }
    }
    let huge = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 127, 255, 255, 255, 0, 0, 0, 1];
    assert!(read(&Type::new(Kind::Int32, Some(23), "int4[]"), Some(&huge)).is_err());
}

#[test]
fn infinite_dates_and_nested_arrays_name_the_column() {
    let date = Type::new(Kind::Date, None, "date");
    let reason = read(&date, Some(&i32::MAX.to_be_bytes())).unwrap_err();
    let Error::Unsupported(text) = unsupported(2, "until", &date, reason) else { panic!() };
    assert!(text.contains("column 3 \"until\" of type date holds an infinite"), "{text}");
    assert!(text.contains("\"until\"::text"), "{text}");
    let nested = [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 23];
    assert!(read(&Type::new(Kind::Int32, Some(23), "int4[]"), Some(&nested)).is_err());
}
