//! From words to an [`Expression`], with RocketMQ's grammar, loosest first and every level repeatable:
//!
//! ```text
//! or          := and ( OR and )*
//! and         := equality ( AND equality )*
//! equality    := comparison ( = comparison | <> comparison | IS [NOT] NULL )*
//! comparison  := unary ( > unary | >= unary | < unary | <= unary | [NOT] BETWEEN unary AND unary
//!                      | [NOT] IN ( text, .. ) | [NOT] CONTAINS text | [NOT] STARTSWITH text | [NOT] ENDSWITH text )*
//! unary       := + unary | - unary | NOT unary | primary
//! primary     := literal | property | ( or )
//! ```
//!
//! So `NOT a = 1` means `(NOT a) = 1`. There is no arithmetic and no `LIKE`. As in RocketMQ the expression ends where
//! the grammar does, and what stands behind that has no effect: [`Parsed::unread`] tells where.

use super::{
    CompileError,
    expression::{Constant, Expression, Node, Polarity, Relation, Search},
    lexer::{Keyword, Kind, Lexer, Symbol, Token},
};

/// The longest expression in bytes.
const MAX_BYTES: usize = 4 << 10;
/// Parentheses and signs within each other.
const MAX_NESTING: usize = 32;
/// Parts of an expression.
const MAX_NODES: usize = 256;

/// A parsed expression.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) expression: Expression,
    /// Where words begin that have no effect.
    pub(super) unread: Option<usize>,
}

/// Parses and checks an expression.
pub(super) fn parse(text: &str) -> Result<Parsed, CompileError> {
    if text.len() > MAX_BYTES {
        return Err(CompileError::new(text, MAX_BYTES, format!("more than {MAX_BYTES} bytes")));
    }
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser { text, lexer, token, names: Vec::new(), nodes: 0, nesting: 0 };
    let at = parser.token.at;
    let root = parser.or()?;
    let mut root = parser.boolean(root, at)?;
    let unread =
        (parser.token.kind != Kind::End).then(|| CompileError::new(text, parser.token.at, "").position());
    let mut names = parser.names;
    let order = sort(&mut names);
    renumber(&mut root, &order);
    let names = names.into_iter().map(Into::into).collect();
    Ok(Parsed { expression: Expression { root, names, nodes: parser.nodes }, unread })
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    /// The next word.
    token: Token<'a>,
    names: Vec<&'a str>,
    nodes: usize,
    nesting: usize,
}

type Parse<T> = Result<T, CompileError>;

impl<'a> Parser<'a> {
    fn or(&mut self) -> Parse<Node> {
        self.chain(Keyword::Or, Self::and, Node::Or)
    }

    fn and(&mut self) -> Parse<Node> {
        self.chain(Keyword::And, Self::equality, Node::And)
    }

    /// Operands between the same keyword. They are evaluated from the left, so they may stand side by side.
    fn chain(
        &mut self,
        keyword: Keyword,
        operand: fn(&mut Self) -> Parse<Node>,
        join: fn(Vec<Node>) -> Node,
    ) -> Parse<Node> {
        let mut at = self.token.at;
        let first = operand(self)?;
        if self.token.kind != Kind::Keyword(keyword) {
            return Ok(first);
        }
        let mut parts = vec![self.boolean(first, at)?];
        while self.take(&Kind::Keyword(keyword))? {
            at = self.token.at;
            let next = operand(self)?;
            parts.push(self.boolean(next, at)?);
        }
        self.node(join(parts))
    }

    fn equality(&mut self) -> Parse<Node> {
        let at = self.token.at;
        let mut left = self.comparison()?;
        loop {
            let negated = match self.token.kind {
                Kind::Symbol(Symbol::Equal) => false,
                Kind::Symbol(Symbol::NotEqual) => true,
                Kind::Keyword(Keyword::Is) => {
                    self.advance()?;
                    let negated = self.take(&Kind::Keyword(Keyword::Not))?;
                    self.expect(&Kind::Keyword(Keyword::Null), "NULL")?;
                    left = self.node(Node::IsNull(Box::new(left)))?;
                    if negated {
                        left = self.node(Node::Not(Box::new(left)))?;
                    }
                    continue;
                }
                _ => return Ok(left),
            };
            self.advance()?;
            let right_at = self.token.at;
            let right = self.comparison()?;
            for (side, at) in [(&left, at), (&right, right_at)] {
                if matches!(side, Node::Constant(Constant::Null)) {
                    return Err(self.error(at, "NULL cannot be compared, IS NULL can be asked"));
                }
            }
            if let (Node::Constant(Constant::Bool(_)), Node::Constant(other)) = (&left, &right)
                && !matches!(other, Constant::Bool(_))
            {
                return Err(self.error(right_at, "a truth value cannot be compared with this"));
            }
            left = self.node(Node::Equal(Box::new([left, right])))?;
            if negated {
                left = self.node(Node::Not(Box::new(left)))?;
            }
        }
    }

    fn comparison(&mut self) -> Parse<Node> {
        let at = self.token.at;
        let mut left = self.unary()?;
        loop {
            let relation = match self.token.kind {
                Kind::Symbol(Symbol::Greater) => Relation::Greater,
                Kind::Symbol(Symbol::GreaterOrEqual) => Relation::GreaterOrEqual,
                Kind::Symbol(Symbol::Less) => Relation::Less,
                Kind::Symbol(Symbol::LessOrEqual) => Relation::LessOrEqual,
                Kind::Keyword(Keyword::Not) => {
                    self.advance()?;
                    left = self
                        .predicate(left, at, Polarity::Negated)?
                        .map_err(|_| self.expected("BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH"))?;
                    continue;
                }
                Kind::Keyword(_) => match self.predicate(left, at, Polarity::Plain)? {
                    Ok(node) => {
                        left = node;
                        continue;
                    }
                    Err(left) => return Ok(left),
                },
                _ => return Ok(left),
            };
            self.advance()?;
            let right_at = self.token.at;
            let right = self.unary()?;
            self.comparable(&left, at)?;
            self.comparable(&right, right_at)?;
            left = self.node(Node::Relation(relation, Box::new([left, right])))?;
        }
    }

    /// What a keyword asks of `left`; gives it back when the next word is none of these keywords.
    fn predicate(&mut self, left: Node, at: usize, polarity: Polarity) -> Parse<Result<Node, Node>> {
        let search = match self.token.kind {
            Kind::Keyword(Keyword::Between) => return self.between(left, at, polarity).map(Ok),
            Kind::Keyword(Keyword::In) => return self.within(left, at, polarity).map(Ok),
            Kind::Keyword(Keyword::Contains) => Search::Contains,
            Kind::Keyword(Keyword::StartsWith) => Search::StartsWith,
            Kind::Keyword(Keyword::EndsWith) => Search::EndsWith,
            _ => return Ok(Err(left)),
        };
        self.advance()?;
        let wanted = self.text()?;
        self.node(Node::Search(polarity, search, Box::new(left), wanted)).map(Ok)
    }

    fn between(&mut self, value: Node, at: usize, polarity: Polarity) -> Parse<Node> {
        self.advance()?;
        let low_at = self.token.at;
        let low = self.unary()?;
        self.expect(&Kind::Keyword(Keyword::And), "AND")?;
        let high_at = self.token.at;
        let high = self.unary()?;
        self.comparable(&value, at)?;
        self.comparable(&low, low_at)?;
        self.comparable(&high, high_at)?;
        if let (Polarity::Plain, Node::Constant(low), Node::Constant(high)) = (polarity, &low, &high)
            && high.compare(low).is_none_or(|order| order.is_lt())
        {
            return Err(self.error(high_at, "the upper bound is below the lower one"));
        }
        self.node(Node::Between(polarity, Box::new([value, low, high])))
    }

    fn within(&mut self, property: Node, at: usize, polarity: Polarity) -> Parse<Node> {
        if !matches!(property, Node::Property(_)) {
            return Err(self.error(at, "IN is asked of a property only"));
        }
        self.advance()?;
        self.expect(&Kind::Symbol(Symbol::Open), "`(`")?;
        let mut wanted = vec![self.text()?];
        while self.take(&Kind::Symbol(Symbol::Comma))? {
            wanted.push(self.text()?);
        }
        self.expect(&Kind::Symbol(Symbol::Close), "`)`")?;
        wanted.sort_unstable();
        self.node(Node::In(polarity, Box::new(property), wanted))
    }

    fn unary(&mut self) -> Parse<Node> {
        let sign = self.token.kind.clone();
        if !matches!(sign, Kind::Symbol(Symbol::Plus | Symbol::Minus) | Kind::Keyword(Keyword::Not)) {
            return self.primary();
        }
        self.nest()?;
        self.advance()?;
        let at = self.token.at;
        let inner = self.unary()?;
        self.nesting -= 1;
        match sign {
            Kind::Symbol(Symbol::Plus) => Ok(inner),
            Kind::Symbol(_) => self.node(Node::Negate(Box::new(inner))),
            _ => {
                let inner = self.boolean(inner, at)?;
                self.node(Node::Not(Box::new(inner)))
            }
        }
    }

    fn primary(&mut self) -> Parse<Node> {
        let Token { kind, at } = self.token.clone();
        let node = match kind {
            Kind::Symbol(Symbol::Open) => {
                self.nest()?;
                self.advance()?;
                let inner = self.or()?;
                self.nesting -= 1;
                self.expect(&Kind::Symbol(Symbol::Close), "`)`")?;
                return Ok(inner);
            }
            Kind::Name(name) => Node::Property(self.number_of(name)),
            Kind::Text(text) => Node::Constant(Constant::Text(unquoted(text))),
            Kind::Whole(digits) => Node::Constant(self.whole(digits, at)?),
            Kind::Fraction(digits) => Node::Constant(self.fraction(digits, at)?),
            Kind::Keyword(Keyword::True) => Node::Constant(Constant::Bool(true)),
            Kind::Keyword(Keyword::False) => Node::Constant(Constant::Bool(false)),
            Kind::Keyword(Keyword::Null) => Node::Constant(Constant::Null),
            _ => return Err(self.expected("a property, a literal or `(`")),
        };
        self.advance()?;
        self.node(node)
    }

    fn whole(&self, digits: &str, at: usize) -> Parse<Constant> {
        let value: i64 = digits.parse().map_err(|_| self.error(at, "a number that does not fit 64 bits"))?;
        Ok(i32::try_from(value).map_or(Constant::Long(value), Constant::Int))
    }

    fn fraction(&self, digits: &str, at: usize) -> Parse<Constant> {
        match digits.parse::<f64>() {
            Ok(value) if value.is_finite() && value > 0.0 => Ok(Constant::Double(value)),
            // RocketMQ takes no 0.0 either.
            _ => Err(self.error(at, "a number with a point must be greater than 0 and finite")),
        }
    }

    fn text(&mut self) -> Parse<Box<str>> {
        let Kind::Text(text) = self.token.kind else { return Err(self.expected("a text in quotes")) };
        self.advance()?;
        Ok(unquoted(text))
    }

    fn number_of(&mut self, name: &'a str) -> usize {
        self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        })
    }

    /// `node` as a truth value, which a property can be taken for and other values cannot.
    fn boolean(&mut self, node: Node, at: usize) -> Parse<Node> {
        match node {
            node if node.is_boolean() => Ok(node),
            Node::Property(_) => self.node(Node::Cast(Box::new(node))),
            _ => Err(self.error(at, "this is no truth value")),
        }
    }

    /// Whether something can be greater or less than `node`.
    fn comparable(&self, node: &Node, at: usize) -> Parse<()> {
        if node.is_boolean() || matches!(node, Node::Constant(Constant::Text(_))) {
            return Err(self.error(at, "only numbers and properties can be greater or less"));
        }
        Ok(())
    }

    fn node(&mut self, node: Node) -> Parse<Node> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.error(self.token.at, format!("more than {MAX_NODES} parts")));
        }
        Ok(node)
    }

    fn nest(&mut self) -> Parse<()> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(self.error(self.token.at, format!("nested more than {MAX_NESTING} deep")));
        }
        Ok(())
    }

    fn advance(&mut self) -> Parse<()> {
        self.token = self.lexer.next()?;
        Ok(())
    }

    fn take(&mut self, kind: &Kind<'_>) -> Parse<bool> {
        let found = self.token.kind == *kind;
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, kind: &Kind<'_>, what: &str) -> Parse<()> {
        if self.take(kind)? { Ok(()) } else { Err(self.expected(what)) }
    }

    fn expected(&self, what: &str) -> CompileError {
        self.error(self.token.at, format!("{what} is expected"))
    }

    fn error(&self, at: usize, why: impl Into<String>) -> CompileError {
        CompileError::new(self.text, at, why)
    }
}

fn unquoted(text: &str) -> Box<str> {
    text.replace("''", "'").into()
}

/// Sorts names and gives each old number's new one.
fn sort(names: &mut Vec<&str>) -> Vec<usize> {
    let old = names.clone();
    names.sort_unstable();
    old.iter().map(|name| names.binary_search(name).unwrap_or(0)).collect()
}

fn renumber(node: &mut Node, order: &[usize]) {
    let each = |nodes: &mut [Node]| nodes.iter_mut().for_each(|node| renumber(node, order));
    match node {
        Node::Property(number) => *number = order[*number],
        Node::Constant(_) => {}
        Node::And(parts) | Node::Or(parts) => each(parts),
        Node::Equal(sides) | Node::Relation(_, sides) => each(&mut **sides),
        Node::Between(_, parts) => each(&mut **parts),
        Node::Negate(inner)
        | Node::Not(inner)
        | Node::Cast(inner)
        | Node::IsNull(inner)
        | Node::In(_, inner, _)
        | Node::Search(_, _, inner, _) => renumber(inner, order),
    }
}
