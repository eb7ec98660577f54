//! The report as JUnit XML, which every build server reads.

use std::time::Duration;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Suite, detail, totals};
use crate::suite::CaseResult;

/// The text of the file.
///
/// # Errors
/// None that is known: it is written into memory.
pub fn junit(suites: &[Suite], took: Duration) -> std::io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let (tests, failures) = totals(suites);
    writer
        .create_element("testsuites")
        .with_attributes([
            ("tests", tests.to_string().as_str()),
            ("failures", failures.to_string().as_str()),
            ("time", seconds(took).as_str()),
        ])
        .write_inner_content(|writer| {
            suites.iter().try_for_each(|suite| of_suite(writer, suite))
        })?;
    Ok(String::from_utf8_lossy(&writer.into_inner()).into_owned() + "\n")
}

fn of_suite(writer: &mut Writer<Vec<u8>>, suite: &Suite) -> std::io::Result<()> {
    let time: Duration = suite.verdicts.iter().map(|verdict| verdict.observed.took).sum();
    writer
        .create_element("testsuite")
        .with_attributes([
            ("name", clean(&suite.name).as_str()),
            ("tests", suite.ran().to_string().as_str()),
            ("failures", suite.failed().to_string().as_str()),
            ("time", seconds(time).as_str()),
        ])
        .write_inner_content(|writer| {
            let mut verdicts = suite.verdicts.iter().enumerate();
            verdicts.try_for_each(|(index, verdict)| of_case(writer, suite, index, verdict))
        })?;
    Ok(())
}

fn of_case(
    writer: &mut Writer<Vec<u8>>,
    suite: &Suite,
    index: usize,
    verdict: &CaseResult,
) -> std::io::Result<()> {
    let name = clean(&verdict.file.case.name);
    writer
        .create_element("testcase")
        .with_attributes([
            ("classname", clean(&suite.name).as_str()),
            ("name", name.as_str()),
            ("file", clean(&verdict.file.path.to_string_lossy()).as_str()),
            ("time", seconds(verdict.observed.took).as_str()),
        ])
        .write_inner_content(|writer| {
            if suite.word(index, verdict) == "FAILED" {
                let about: Vec<_> = verdict.differences.iter().map(|one| one.about).collect();
                let message = format!("not as expected: {}", about.join(", "));
                let text = clean(&detail(&name, verdict, suite.unblessed(index)));
                writer
                    .create_element("failure")
                    .with_attribute(("message", message.as_str()))
                    .write_text_content(BytesText::new(&text))?;
            }
            if !verdict.observed.log.is_empty() {
                let log = clean(&verdict.observed.log);
                writer.create_element("system-out").write_text_content(BytesText::new(&log))?;
            }
            Ok(())
        })?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.6}", time.as_secs_f64())
}

/// Without the characters that XML cannot carry, not even escaped. What a component prints may have any.
fn clean(text: &str) -> String {
    let allowed = |c: &char| matches!(*c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(allowed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_carry_is_left_out() {
        assert_eq!(clean("a\u{0}b\u{1b}[31m\u{fffe}c\n"), "ab[31mc\n");
    }
}
