//! Expressions against an oracle and against what Apache's broker answered.

use super::{CompileError, parser};

fn compile(text: &str) -> Result<super::Expression, CompileError> {
    parser::parse(text).map(|parsed| parsed.expression)
}

#[test]
fn errors_name_the_position() {
    for (text, position) in [
        ("", 1),
        ("a >", 4),
        ("a > 'x'", 5),
        ("a = NULL", 5),
        ("é = 1", 1),
        ("'é' = ;", 7),
        ("a NOT b", 7),
        ("a IN (1)", 7),
        ("(a = 1", 7),
        ("5", 1),
        ("a AND 5", 7),
        ("a BETWEEN 2 AND 1", 17),
        ("a = 99999999999999999999", 5),
        ("a = 0.0", 5),
    ] {
        let error = compile(text).unwrap_err();
        assert_eq!(error.position(), position, "{text}: {error}");
    }
}

#[test]
fn hostile_expressions_are_refused_before_they_cost_anything() {
    for text in [
        "(".repeat(100_000),
        "-".repeat(4_000),
        format!("{}a = 1{}", "(".repeat(33), ")".repeat(33)),
        format!("{} a", "NOT ".repeat(33)),
        vec!["a = 1"; 200].join(" OR "),
        format!("a{}", " = a".repeat(300)),
        format!("a IN ('{}')", "x".repeat(5_000)),
    ] {
        assert!(compile(&text).is_err(), "{}", &text[..40]);
    }
    for text in [
        format!("{}a = 1{}", "(".repeat(32), ")".repeat(32)),
        vec!["a = 1"; 80].join(" OR "),
        format!("a{}", " = a".repeat(120)),
    ] {
        compile(&text).unwrap().matches("a\u{1}1\u{2}");
    }
}

#[derive(serde::Deserialize)]
struct Table {
    messages: Vec<Vec<(String, String)>>,
    answers: Vec<(String, Option<String>)>,
}

#[test]
fn expressions_pass_what_apaches_broker_passes() {
    let table = include_bytes!("../../tests/vectors/filter/sql92.json");
    let table: Table = serde_json::from_slice(table).unwrap();
    let properties: Vec<String> = table
        .messages
        .iter()
        .map(|pairs| pairs.iter().map(|(key, value)| format!("{key}\u{1}{value}\u{2}")).collect())
        .collect();
    let mut wrong = Vec::new();
    for (text, expected) in &table.answers {
        let passed = compile(text).ok().map(|expression| {
            let bits =
                properties.iter().enumerate().map(|(n, text)| u32::from(expression.matches(text)) << n);
            format!("{:08x}", bits.sum::<u32>())
        });
        if passed != *expected {
            wrong.push(format!("{text:?}: {passed:?} instead of {expected:?}"));
        }
    }
    assert!(table.answers.len() > 800 && wrong.is_empty(), "{}", wrong.join("\n"));
}
