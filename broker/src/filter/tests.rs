//! Expressions against an oracle and against what Apache's broker answered.

use proptest::prelude::*;

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

/// An expression that the oracle understands without a parser.
#[derive(Debug, Clone)]
enum Tree {
    Property(usize),
    Number(i64),
    /// Tenths, so that what is printed is what is meant.
    Tenths(u16),
    Text(&'static str),
    Truth(bool),
    Minus(Box<Tree>),
    Not(Box<Tree>),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    Compare(&'static str, Box<Tree>, Box<Tree>),
    Between(bool, Box<Tree>, Box<Tree>, Box<Tree>),
    IsNull(bool, Box<Tree>),
    In(bool, usize, Vec<&'static str>),
    Search(bool, &'static str, Box<Tree>, &'static str),
}

const PROPERTIES: [&str; 3] = ["a", "b", "c_1"];
const TEXTS: [&str; 12] =
    ["1", "2", "-3", "2.5", "x", "xyz", "true", "FALSE", "3000000000", "1e1", "it's", "12.0"];

/// A value of the oracle; what raises is an error.
#[derive(Debug, Clone, PartialEq)]
enum Java {
    Null,
    Text(String),
    Integer(i64),
    Long(i64),
    Double(f64),
    Boolean(bool),
}

impl Tree {
    fn print(&self) -> String {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        match self {
            Self::Property(number) => PROPERTIES[*number].to_owned(),
            Self::Number(value) => value.to_string(),
            Self::Tenths(value) => format!("{}.{}", value / 10, value % 10),
            Self::Text(text) => quoted(text),
            Self::Truth(value) => value.to_string(),
            Self::Minus(inner) => format!("-({})", inner.print()),
            Self::Not(inner) => format!("NOT ({})", inner.print()),
            Self::Both(left, right) => format!("({}) AND ({})", left.print(), right.print()),
            Self::Either(left, right) => format!("({}) OR ({})", left.print(), right.print()),
            Self::Compare(sign, left, right) => format!("({}) {sign} ({})", left.print(), right.print()),
            Self::Between(negated, value, low, high) => {
                let (value, low, high) = (value.print(), low.print(), high.print());
                format!("({value}) {}BETWEEN ({low}) AND ({high})", not(negated))
            }
            Self::IsNull(negated, inner) => format!("({}) IS {}NULL", inner.print(), not(negated)),
            Self::In(negated, number, texts) => {
                let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
                format!("{} {}IN ({})", PROPERTIES[*number], not(negated), texts.join(", "))
            }
            Self::Search(negated, word, subject, text) => {
                format!("({}) {}{word} {}", subject.print(), not(negated), quoted(text))
            }
        }
    }

    /// Evaluates as the rules are written down, one after the other.
    fn evaluate(&self, message: &[Option<&str>; 3]) -> Result<Java, ()> {
        Ok(match self {
            Self::Property(number) => message[*number].map_or(Java::Null, |text| Java::Text(text.to_owned())),
            Self::Number(value) if i32::try_from(*value).is_ok() => Java::Integer(*value),
            Self::Number(value) => Java::Long(*value),
            Self::Tenths(value) => Java::Double(f64::from(*value) / 10.0),
            Self::Text(text) => Java::Text((*text).to_owned()),
            Self::Truth(value) => Java::Boolean(*value),
            Self::Minus(inner) => match inner.evaluate(message)? {
                Java::Integer(value) => Java::Integer(-value),
                Java::Long(value) => Java::Long(-value),
                Java::Double(value) => Java::Double(-value),
                _ => Java::Null,
            },
            Self::Not(inner) => match inner.truth(message)? {
                Java::Boolean(value) => Java::Boolean(!value),
                _ => Java::Null,
            },
            Self::Both(left, right) => match (left.truth(message)?, right) {
                (Java::Boolean(false), _) => Java::Boolean(false),
                (left, right) => match right.truth(message)? {
                    Java::Boolean(false) => Java::Boolean(false),
                    right if left == Java::Null || right == Java::Null => Java::Null,
                    _ => Java::Boolean(true),
                },
            },
            Self::Either(left, right) => match (left.truth(message)?, right) {
                (Java::Boolean(true), _) => Java::Boolean(true),
                (left, right) => match right.truth(message)? {
                    Java::Boolean(true) => Java::Boolean(true),
                    right if left == Java::Null || right == Java::Null => Java::Null,
                    _ => Java::Boolean(false),
                },
            },
            Self::Compare(sign @ ("=" | "<>"), left, right) => {
                let equal = match (left.evaluate(message)?, right.evaluate(message)?) {
                    (Java::Null, Java::Null) => true,
                    (Java::Null, _) => return Ok(Java::Null),
                    (_, Java::Null) => false,
                    (left, right) => left.order(&right)? == 0,
                };
                Java::Boolean(equal == (*sign == "="))
            }
            Self::Compare(sign, left, right) => relation(sign, left, right, message)?,
            Self::Between(false, value, low, high) => {
                let parts = [(">=", low), ("<=", high)]
                    .map(|(sign, bound)| Box::new(Self::Compare(sign, value.clone(), bound.clone())));
                let [low, high] = parts;
                Self::Both(low, high).evaluate(message)?
            }
            Self::Between(true, value, low, high) => {
                let parts = [("<", low), (">", high)]
                    .map(|(sign, bound)| Box::new(Self::Compare(sign, value.clone(), bound.clone())));
                let [low, high] = parts;
                Self::Either(low, high).evaluate(message)?
            }
            Self::IsNull(negated, inner) => {
                Java::Boolean((inner.evaluate(message)? == Java::Null) != *negated)
            }
            Self::In(negated, number, texts) => match message[*number] {
                None => Java::Null,
                Some(text) => Java::Boolean(texts.contains(&text) != *negated),
            },
            Self::Search(negated, word, subject, wanted) => match subject.evaluate(message)? {
                Java::Text(text) if !wanted.is_empty() => {
                    let found = match *word {
                        "CONTAINS" => text.contains(wanted),
                        "STARTSWITH" => text.starts_with(wanted),
                        _ => text.ends_with(wanted),
                    };
                    Java::Boolean(found != *negated)
                }
                _ => Java::Boolean(false),
            },
        })
    }

    /// A property in the place of a truth value is false when it is there.
    fn truth(&self, message: &[Option<&str>; 3]) -> Result<Java, ()> {
        match (self, self.evaluate(message)?) {
            (Self::Property(_), Java::Text(_)) => Ok(Java::Boolean(false)),
            (_, value) => Ok(value),
        }
    }
}

fn relation(sign: &str, left: &Tree, right: &Tree, message: &[Option<&str>; 3]) -> Result<Java, ()> {
    let left = left.evaluate(message)?;
    if left == Java::Null {
        return Ok(Java::Null);
    }
    let right = right.evaluate(message)?;
    if right == Java::Null {
        return Ok(Java::Null);
    }
    let order = match (&left, &right) {
        (Java::Text(left), Java::Text(right)) => {
            let (left, right): (f64, f64) = (left.parse().map_err(|_| ())?, right.parse().map_err(|_| ())?);
            Java::Double(left).order(&Java::Double(right))?
        }
        _ => left.order(&right)?,
    };
    Ok(Java::Boolean(match sign {
        ">" => order > 0,
        ">=" => order >= 0,
        "<" => order < 0,
        _ => order <= 0,
    }))
}

impl Java {
    /// Below, at or above 0.
    fn order(&self, other: &Self) -> Result<i32, ()> {
        let sign = |order: Option<std::cmp::Ordering>| order.map_or(0, |order| order as i32);
        // A text becomes what the other side is.
        let read = |text: &str, like: &Self| match like {
            Self::Integer(_) => text.parse::<i32>().map(|value| Self::Integer(value.into())).map_err(|_| ()),
            Self::Long(_) => text.parse().map(Self::Long).map_err(|_| ()),
            Self::Double(_) => text.parse().map(Self::Double).map_err(|_| ()),
            Self::Boolean(_) => Ok(Self::Boolean(text.eq_ignore_ascii_case("true"))),
            Self::Text(_) | Self::Null => Ok(Self::Text(text.to_owned())),
        };
        let float = |value: &Self| match value {
            Self::Integer(value) | Self::Long(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        };
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => Ok(sign(Some(left.cmp(right)))),
            (Self::Boolean(_), Self::Text(_)) => Err(()),
            (Self::Text(left), right) => read(left, right)?.order(right),
            (left, Self::Text(right)) => left.order(&read(right, left)?),
            (Self::Boolean(left), Self::Boolean(right)) => Ok(sign(Some(left.cmp(right)))),
            (Self::Integer(left) | Self::Long(left), Self::Integer(right) | Self::Long(right)) => {
                Ok(sign(Some(left.cmp(right))))
            }
            (left, right) => match (float(left), float(right)) {
                (Some(left), Some(right)) => Ok(sign(left.partial_cmp(&right))),
                _ => Ok(-1),
            },
        }
    }
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&TEXTS[..])
}

/// What can be less or greater: no truth values, no texts.
fn value() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        4 => (0..PROPERTIES.len()).prop_map(Tree::Property),
        3 => prop::sample::select(vec![0, 1, 2, 12, 3_000_000_000]).prop_map(Tree::Number),
        2 => (1_u16..200).prop_map(Tree::Tenths),
    ];
    leaf.prop_recursive(2, 4, 1, |inner| inner.prop_map(|inner| Tree::Minus(Box::new(inner))))
}

fn tree() -> impl Strategy<Value = Tree> {
    let relation = prop::sample::select(vec![">", ">=", "<", "<="]);
    let search = prop::sample::select(vec!["CONTAINS", "STARTSWITH", "ENDSWITH"]);
    let boxed = || value().prop_map(Box::new);
    let leaf = prop_oneof![
        (0..PROPERTIES.len()).prop_map(Tree::Property),
        any::<bool>().prop_map(Tree::Truth),
        (relation, boxed(), boxed()).prop_map(|(sign, l, r)| Tree::Compare(sign, l, r)),
        // With a sign in front no bound is a constant, and constants in the wrong order are refused.
        (any::<bool>(), boxed(), boxed(), boxed()).prop_map(|(not, value, low, high)| {
            Tree::Between(not, value, Box::new(Tree::Minus(low)), high)
        }),
        (any::<bool>(), 0..PROPERTIES.len(), prop::collection::vec(text(), 1..4))
            .prop_map(|(not, number, texts)| Tree::In(not, number, texts)),
        (any::<bool>(), search, boxed(), prop_oneof![text(), Just("")])
            .prop_map(|(not, word, subject, text)| Tree::Search(not, word, subject, text)),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        let side = prop_oneof![inner.clone(), value(), text().prop_map(Tree::Text)].prop_map(Box::new);
        let both = (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.prop_map(|inner| Tree::Not(Box::new(inner))),
            both.clone().prop_map(|(left, right)| Tree::Both(left, right)),
            both.prop_map(|(left, right)| Tree::Either(left, right)),
            (any::<bool>(), side.clone()).prop_map(|(not, inner)| Tree::IsNull(not, inner)),
            // A truth value that is written out is refused on the left of other constants.
            (prop::sample::select(vec!["=", "<>"]), side.clone(), side)
                .prop_filter("not allowed", |(_, left, _)| !matches!(**left, Tree::Truth(_)))
                .prop_map(|(sign, left, right)| Tree::Compare(sign, left, right)),
        ]
    })
}

fn message() -> impl Strategy<Value = [Option<&'static str>; 3]> {
    let property = || prop::option::weighted(0.75, text());
    [property(), property(), property()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn expressions_agree_with_the_oracle(tree in tree(), messages in prop::collection::vec(message(), 8)) {
        let printed = tree.print();
        let expression = compile(&printed);
        prop_assume!(printed.len() < 4_000);
        let expression = expression.map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?;
        for message in messages {
            let properties: String = PROPERTIES
                .iter()
                .zip(message)
                .filter_map(|(key, value)| Some(format!("{key}\u{1}{}\u{2}", value?)))
                .collect();
            let expected = tree.truth(&message) == Ok(Java::Boolean(true));
            prop_assert_eq!(expression.matches(&properties), expected, "{} of {:?}", printed, message);
        }
    }

    #[test]
    fn no_text_makes_the_compiler_fail(text in "[-a-z'0-9.<>=()+,/* \nNOTANDRIBWEULSé]{0,60}") {
        if let Ok(expression) = compile(&text) {
            expression.matches("a\u{1}1\u{2}b\u{1}x\u{2}");
        }
    }
}
