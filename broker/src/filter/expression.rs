//! A filter expression, checked and ready to be evaluated.
//!
//! Its rules are RocketMQ's, and they are not those of a database: every property is a text or missing, the other side
//! of a comparison says what a text is read as, and one that cannot be read so raises, which drops the message
//! whatever stands around it.

use std::cmp::Ordering;

use rocketmq_boot_protocol::message::property;

use super::java;

/// Slots for properties that take no memory of their own.
const FEW_PROPERTIES: usize = 8;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(super) root: Node,
    /// The properties that it looks at, sorted; nodes have their numbers.
    pub(super) names: Vec<Box<str>>,
    pub(super) nodes: usize,
}

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Constant),
    /// The number of a property.
    Property(usize),
    Negate(Box<Node>),
    Not(Box<Node>),
    /// A property where a truth value is wanted.
    Cast(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Equal(Box<[Node; 2]>),
    Relation(Relation, Box<[Node; 2]>),
    /// Value, low and high.
    Between(Polarity, Box<[Node; 3]>),
    IsNull(Box<Node>),
    /// A property and what it may be, sorted.
    In(Polarity, Box<Node>, Vec<Box<str>>),
    Search(Polarity, Search, Box<Node>, Box<str>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(Box<str>),
}

/// Whether an operator is written with `NOT` in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polarity {
    Plain,
    Negated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

/// What a node comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'a str),
}

/// A value could not be read as what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Raised;

type Evaluated<'a> = Result<Value<'a>, Raised>;
type Truth = Result<Option<bool>, Raised>;

impl Expression {
    /// How many parts it has.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether the expression is true of a properties string.
    pub(crate) fn matches(&self, properties: &str) -> bool {
        let mut few = [None; FEW_PROPERTIES];
        let mut many = Vec::new();
        let values = match few.get_mut(..self.names.len()) {
            Some(values) => values,
            None => {
                many.resize(self.names.len(), None);
                &mut many[..]
            }
        };
        for (key, value) in property::iterate(properties) {
            // Of a key that is there twice the last one counts, as in Java's map.
            if let Ok(number) = self.names.binary_search_by(|name| (**name).cmp(key)) {
                values[number] = Some(value);
            }
        }
        self.root.truth(values) == Ok(Some(true))
    }
}

impl Constant {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::Int(*value),
            Self::Long(value) => Value::Long(*value),
            Self::Double(value) => Value::Double(*value),
            Self::Text(value) => Value::Text(value),
        }
    }

    /// How two constants compare; `None` when one cannot be read as the other.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        self.value().compare(other.value()).ok()
    }
}

impl Node {
    /// Whether it can only be a truth value or null.
    pub(super) fn is_boolean(&self) -> bool {
        !matches!(
            self,
            Self::Property(_)
                | Self::Negate(_)
                | Self::Constant(
                    Constant::Int(_) | Constant::Long(_) | Constant::Double(_) | Constant::Text(_)
                )
        )
    }

    fn evaluate<'a>(&'a self, values: &[Option<&'a str>]) -> Evaluated<'a> {
        match self {
            Self::Constant(constant) => Ok(constant.value()),
            Self::Property(number) => {
                Ok(values.get(*number).copied().flatten().map_or(Value::Null, Value::Text))
            }
            Self::Negate(inner) => Ok(match inner.evaluate(values)? {
                Value::Int(value) => Value::Int(value.wrapping_neg()),
                Value::Long(value) => Value::Long(value.wrapping_neg()),
                Value::Double(value) => Value::Double(-value),
                Value::Null | Value::Bool(_) | Value::Text(_) => Value::Null,
            }),
            _ => self.truth(values).map(|truth| truth.map_or(Value::Null, Value::Bool)),
        }
    }

    /// Evaluates a node that is a truth value; anything else is null.
    fn truth<'a>(&'a self, values: &[Option<&'a str>]) -> Truth {
        match self {
            Self::Constant(Constant::Bool(value)) => Ok(Some(*value)),
            Self::Constant(_) | Self::Property(_) | Self::Negate(_) => Ok(None),
            Self::Not(inner) => Ok(inner.truth(values)?.map(|value| !value)),
            // A property is a text, and a text is never true.
            Self::Cast(inner) => Ok((inner.evaluate(values)? != Value::Null).then_some(false)),
            Self::And(parts) => settle(parts, false, values),
            Self::Or(parts) => settle(parts, true, values),
            Self::Equal(sides) => {
                let [left, right] = &**sides;
                match (left.evaluate(values)?, right.evaluate(values)?) {
                    (Value::Null, Value::Null) => Ok(Some(true)),
                    (Value::Null, _) => Ok(None),
                    (_, Value::Null) => Ok(Some(false)),
                    (left, right) => Ok(Some(left.compare(right)?.is_eq())),
                }
            }
            Self::Relation(relation, sides) => relation.holds(sides[0].evaluate(values)?, &sides[1], values),
            Self::Between(polarity, parts) => {
                let [value, low, high] = &**parts;
                let value = value.evaluate(values)?;
                // Within is above the low and below the high end; outside is below the one or above the other.
                let (first, second, decisive) = match polarity {
                    Polarity::Plain => (Relation::GreaterOrEqual, Relation::LessOrEqual, false),
                    Polarity::Negated => (Relation::Less, Relation::Greater, true),
                };
                let first = first.holds(value, low, values)?;
                if first == Some(decisive) {
                    return Ok(first);
                }
                let second = second.holds(value, high, values)?;
                Ok(if first.is_none() && second != Some(decisive) { None } else { second })
            }
            Self::IsNull(inner) => Ok(Some(inner.evaluate(values)? == Value::Null)),
            Self::In(polarity, property, wanted) => Ok(match property.evaluate(values)? {
                Value::Text(value) => Some(
                    wanted.binary_search_by(|text| (**text).cmp(value)).is_ok()
                        == (*polarity == Polarity::Plain),
                ),
                _ => None,
            }),
            Self::Search(polarity, search, subject, wanted) => Ok(Some(match subject.evaluate(values)? {
                Value::Text(text) if !wanted.is_empty() => {
                    search.finds(text, wanted) == (*polarity == Polarity::Plain)
                }
                _ => false,
            })),
        }
    }
}

/// `AND` of parts, or `OR`: the first part that is `decisive` decides, else null wins over the other value.
fn settle<'a>(parts: &'a [Node], decisive: bool, values: &[Option<&'a str>]) -> Truth {
    let mut unknown = false;
    for part in parts {
        match part.truth(values)? {
            Some(value) if value == decisive => return Ok(Some(decisive)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(!decisive) })
}

impl Relation {
    /// Whether `left` stands so to `right`, which is not looked at when `left` is null.
    fn holds<'a>(self, left: Value<'a>, right: &'a Node, values: &[Option<&'a str>]) -> Truth {
        if left == Value::Null {
            return Ok(None);
        }
        let order = match (left, right.evaluate(values)?) {
            (_, Value::Null) => return Ok(None),
            (Value::Text(left), Value::Text(right)) => {
                let double = |text| java::double(text).ok_or(Raised);
                java::compare_doubles(double(left)?, double(right)?)
            }
            (left, right) => left.compare(right)?,
        };
        Ok(Some(match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }))
    }
}

impl Search {
    fn finds(self, text: &str, wanted: &str) -> bool {
        match self {
            Self::Contains => text.contains(wanted),
            Self::StartsWith => text.starts_with(wanted),
            Self::EndsWith => text.ends_with(wanted),
        }
    }
}

impl Value<'_> {
    /// How two values that are not null compare. Types that have nothing in common compare as less.
    fn compare(self, other: Self) -> Result<Ordering, Raised> {
        let int = |text: &str| text.parse::<i32>().map_err(|_| Raised);
        let long = |text: &str| text.parse::<i64>().map_err(|_| Raised);
        let double = |text| java::double(text).ok_or(Raised);
        Ok(match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(&right),
            (Self::Int(left), Self::Int(right)) => left.cmp(&right),
            (Self::Long(left), Self::Long(right)) => left.cmp(&right),
            (Self::Int(left), Self::Long(right)) => i64::from(left).cmp(&right),
            (Self::Long(left), Self::Int(right)) => left.cmp(&i64::from(right)),
            (Self::Double(left), Self::Double(right)) => java::compare_doubles(left, right),
            (Self::Int(left), Self::Double(right)) => java::compare_doubles(left.into(), right),
            (Self::Double(left), Self::Int(right)) => java::compare_doubles(left, right.into()),
            (Self::Long(left), Self::Double(right)) => java::compare_doubles(left as f64, right),
            (Self::Double(left), Self::Long(right)) => java::compare_doubles(left, right as f64),
            (Self::Text(left), Self::Bool(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
            (Self::Text(left), Self::Int(right)) => int(left)?.cmp(&right),
            (Self::Int(left), Self::Text(right)) => left.cmp(&int(right)?),
            (Self::Text(left), Self::Long(right)) => long(left)?.cmp(&right),
            (Self::Long(left), Self::Text(right)) => left.cmp(&long(right)?),
            (Self::Text(left), Self::Double(right)) => java::compare_doubles(double(left)?, right),
            (Self::Double(left), Self::Text(right)) => java::compare_doubles(left, double(right)?),
            // Java converts a text on the right of a truth value with a cast that cannot succeed.
            (Self::Bool(_), Self::Text(_)) => return Err(Raised),
            _ => Ordering::Less,
        })
    }
}
