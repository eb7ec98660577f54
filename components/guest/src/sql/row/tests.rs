use super::*;
use crate::sql::{Array, FromRow, Numeric, Scalar};

#[derive(Debug, PartialEq, FromRow)]
struct Order {
    id: i64,
    r#type: Option<String>,
    #[row(name = "how many")]
    count: i32,
}

fn row(values: Vec<(&str, &str, Value)>) -> Row {
    let columns = values.iter().map(|(name, type_name, _)| Column {
        name: (*name).to_string(),
        type_name: (*type_name).to_string(),
    });
    let columns = columns.collect();
    Row::new(columns, values.into_iter().map(|(.., value)| value).collect())
}

fn text(text: &str) -> Value {
    Value::Scalar(Scalar::Text(text.to_string()))
}

fn orders(kind: Value) -> Row {
    row(vec![
        ("how many", "int2", Value::Scalar(Scalar::Int16(3))),
        ("id", "int4", Value::Scalar(Scalar::Int32(7))),
        ("type", "text", kind),
        ("more", "text", Value::Null),
    ])
}

fn error<T: FromRow>(row: Row) -> String {
    T::from_row(row).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_struct_is_read_by_names_in_any_order() {
    let order = Order::from_row(orders(text("tea"))).unwrap();
    assert_eq!(order, Order { id: 7, r#type: Some("tea".to_string()), count: 3 });
    assert_eq!(Order::from_row(orders(Value::Null)).unwrap().r#type, None);
}

#[test]
fn a_row_that_does_not_fit_names_the_column_and_both_types() {
    let wrong = orders(Value::Scalar(Scalar::Boolean(true)));
    assert_eq!(error::<Order>(wrong), "the column `type` is text, and text was asked for");
    let missing = row(vec![("id", "int8", Value::Scalar(Scalar::Int64(1)))]);
    assert_eq!(error::<Order>(missing), "the column `type` is not in the row, which has `id`");
    let null = row(vec![("n", "int8", Value::Null)]);
    assert_eq!(error::<i64>(null), "the column `n` is null, and bigint was asked for");
    let number = row(vec![("n", "int8", Value::Scalar(Scalar::Int64(1)))]);
    assert_eq!(error::<i32>(number), "the column `n` is int8, and integer was asked for");
}

#[test]
fn a_tuple_is_read_by_order_and_has_as_many() {
    let both =
        || row(vec![("a", "text", text("x")), ("b", "bool", Value::Scalar(Scalar::Boolean(true)))]);
    assert_eq!(<(String, bool)>::from_row(both()).unwrap(), ("x".to_string(), true));
    assert_eq!(
        error::<(String,)>(both()),
        "the column `b` ends a row of 2 columns, and one of 1 was asked for"
    );
    assert_eq!(
        error::<String>(both()),
        "the column `a` is one of 2, and a row of one column was asked for"
    );
}

#[test]
fn one_column_is_one_value() {
    let one = |value| row(vec![("a", "text", value)]);
    assert_eq!(String::from_row(one(text("x"))).unwrap(), "x");
    assert_eq!(Option::<String>::from_row(one(Value::Null)).unwrap(), None);
    assert_eq!(
        Numeric::from_row(one(Value::Scalar(Scalar::Numeric("1.50".to_string())))).unwrap(),
        Numeric("1.50".to_string())
    );
    let (array,) =
        <(Array<i32>,)>::from_row(one(Value::Array(vec![Some(Scalar::Int32(1)), None]))).unwrap();
    assert_eq!(array, Array(vec![Some(1), None]));
    let holes = one(Value::Array(vec![None]));
    assert_eq!(
        error::<(Vec<i32>,)>(holes),
        "the column `a` is null, and an array without nulls was asked for"
    );
}
