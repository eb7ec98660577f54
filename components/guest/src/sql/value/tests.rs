use super::*;
use crate::Json;

/// A parameter read back as what it was.
fn back<T: IntoValue + FromValue>(value: T) -> Result<T, WrongType> {
    T::from_value(value.into_value())
}

#[test]
fn what_is_bound_is_read_back() {
    assert_eq!(back(true), Ok(true));
    assert_eq!(back(-3_i16), Ok(-3));
    assert_eq!(back(i32::MIN), Ok(i32::MIN));
    assert_eq!(back(i64::MAX), Ok(i64::MAX));
    assert_eq!(back(0.5_f32), Ok(0.5));
    assert_eq!(back(f64::MAX), Ok(f64::MAX));
    assert_eq!(back("é".to_string()), Ok("é".to_string()));
    assert_eq!(back(vec![0_u8, 255]), Ok(vec![0, 255]));
    assert_eq!(back(vec![1_i64, 2]), Ok(vec![1, 2]));
    assert_eq!(back(None::<i32>), Ok(None));
    assert_eq!(
        back(Array(vec![Some("a".to_string()), None])),
        Ok(Array(vec![Some("a".to_string()), None]))
    );
    assert_eq!(back(Json(vec![1, 2])).map(|Json(read)| read), Ok(vec![1, 2]));
}

#[test]
fn bytes_are_no_array_and_text_is_text() {
    assert!(matches!(vec![1_u8].into_value(), Value::Scalar(Scalar::Bytes(_))));
    assert!(matches!([1_u8].as_slice().into_value(), Value::Scalar(Scalar::Bytes(_))));
    assert!(matches!(vec!["a"].into_value(), Value::Array(_)));
    assert!(matches!(Some("a").into_value(), Value::Scalar(Scalar::Text(_))));
}

#[test]
fn numbers_widen_and_never_narrow() {
    let small = || Value::Scalar(Scalar::Int16(3));
    assert_eq!(i64::from_value(small()), Ok(3));
    assert_eq!(i32::from_value(small()), Ok(3));
    assert_eq!(i16::from_value(Value::Scalar(Scalar::Int32(3))), Err(WrongType::Type));
    assert_eq!(f64::from_value(Value::Scalar(Scalar::Float32(0.5))), Ok(0.5));
    assert_eq!(f64::from_value(small()), Err(WrongType::Type));
}

#[test]
fn json_of_another_shape_says_where() {
    let value = Value::Scalar(Scalar::Json("{\"a\": 1}".to_string()));
    let Err(WrongType::Json(why)) = <Json<Vec<u8>>>::from_value(value).map(|Json(read)| read)
    else {
        panic!("it is no array")
    };
    assert!(why.contains("line 1 column 0"), "{why}");
}

#[cfg(feature = "jiff")]
#[test]
fn dates_and_times_are_those_of_jiff_and_what_has_no_place_there_is_refused() {
    use ::jiff::civil::{Date, DateTime, Time, date};

    assert_eq!(back(date(2024, 2, 29)), Ok(date(2024, 2, 29)));
    assert_eq!(back(date(-44, 3, 15)), Ok(date(-44, 3, 15)));
    let at = date(2024, 2, 29).at(23, 59, 59, 999_999_000);
    assert_eq!(back(at), Ok(at));
    assert_eq!(back(at.time()), Ok(at.time()));
    let instant: ::jiff::Timestamp = "2024-02-29T23:59:59.5Z".parse().unwrap();
    assert_eq!(back(instant), Ok(instant));
    // Finer than what PostgreSQL has.
    assert_eq!(back(Time::constant(0, 0, 0, 1_999)), Ok(Time::constant(0, 0, 0, 1_000)));

    let end = super::Time { hour: 24, minute: 0, second: 0, microsecond: 0 };
    assert_eq!(Time::from_value(Value::Scalar(Scalar::Time(end))), Err(WrongType::Type));
    let far = super::Date { year: 294_276, month: 1, day: 1 };
    assert_eq!(Date::from_value(Value::Scalar(Scalar::Date(far))), Err(WrongType::Type));
    let far = super::Timestamp { date: far, time: super::Time { hour: 0, ..end } };
    assert_eq!(DateTime::from_value(Value::Scalar(Scalar::Timestamp(far))), Err(WrongType::Type));
}
