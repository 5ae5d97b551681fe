//! `key = value` lists of attributes.
//!
//! A list is checked against a table of keys, so that an unknown key gets a suggestion, a long name of
//! rocketmq-spring finds its short one, and what is not supported yet says so instead of being ignored.

use proc_macro2::{Ident, TokenStream};
use syn::{
    Expr, ExprLit, Lit, LitStr, Token,
    parse::{Parse, ParseStream, Parser},
    punctuated::Punctuated,
};

use crate::diag::Diagnostics;

/// A key that an attribute knows.
pub(crate) enum Known {
    /// Its name, and the other names that mean the same.
    Key(&'static str, &'static [&'static str]),
    /// A key that exists elsewhere and cannot be honoured here, with what to say about it.
    Refused(&'static str, &'static str),
}

/// One `key = value` that passed the table.
pub(crate) struct Pair {
    /// The canonical name.
    pub(crate) name: &'static str,
    /// The name as it was written.
    pub(crate) key: Ident,
    pub(crate) value: Expr,
}

struct Written {
    key: Ident,
    value: Expr,
}

impl Parse for Written {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key: Ident = input.parse()?;
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(key.span(), format!("expected `{key} = value`")));
        }
        input.parse::<Token![=]>()?;
        Ok(Self { key, value: input.parse()? })
    }
}

/// Reads the list; what the table refuses is noted and left out.
pub(crate) fn pairs(tokens: TokenStream, table: &[Known], errors: &mut Diagnostics) -> Vec<Pair> {
    let parser = Punctuated::<Written, Token![,]>::parse_terminated;
    let Some(written) = errors.take(parser.parse2(tokens)) else { return Vec::new() };
    let mut found: Vec<Pair> = Vec::new();
    for Written { key, value } in written {
        let text = key.to_string();
        match lookup(&text, table) {
            Ok(name) => match found.iter().find(|pair| pair.name == name) {
                Some(first) if first.key == key => errors.on(&key, format!("`{text}` is given twice")),
                Some(first) => {
                    errors.on(
                        &key,
                        format!("`{text}` means the same as `{}`, which is given already", first.key),
                    );
                }
                None => found.push(Pair { name, key, value }),
            },
            Err(message) => errors.on(&key, message),
        }
    }
    found
}

fn lookup(text: &str, table: &[Known]) -> Result<&'static str, String> {
    for known in table {
        match known {
            Known::Key(name, aliases) if *name == text || aliases.contains(&text) => return Ok(name),
            Known::Refused(name, why) if *name == text => return Err(format!("`{name}` {why}")),
            _ => {}
        }
    }
    let names = table.iter().flat_map(|known| match known {
        Known::Key(name, aliases) => std::iter::once(*name).chain(aliases.iter().copied()),
        Known::Refused(name, _) => std::iter::once(*name).chain([].iter().copied()),
    });
    Err(match closest(text, names) {
        Some(name) => format!("unknown key `{text}`, did you mean `{name}`?"),
        None => {
            let known: Vec<_> = table
                .iter()
                .filter_map(|known| match known {
                    Known::Key(name, _) => Some(format!("`{name}`")),
                    Known::Refused(..) => None,
                })
                .collect();
            format!("unknown key `{text}`, expected one of {}", known.join(", "))
        }
    })
}

/// The name nearest to what was written, when one is near enough to be meant.
pub(crate) fn closest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(text, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

impl Pair {
    /// The value as literal text.
    pub(crate) fn text(&self, errors: &mut Diagnostics) -> Option<LitStr> {
        match &self.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
            other => {
                errors.on(other, format!("`{}` is text: write it in quotes", self.key));
                None
            }
        }
    }

    /// The value as a whole number, at least `least`.
    pub(crate) fn number(&self, least: u32, errors: &mut Diagnostics) -> Option<u32> {
        if let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = &self.value
            && let Ok(value) = number.base10_parse::<u32>()
            && value >= least
        {
            return Some(value);
        }
        errors.on(&self.value, format!("`{}` is a whole number, {least} or more", self.key));
        None
    }

    /// The value as one of a few words. Case and dashes do not matter; each word has its Java spelling beside it.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&str, &str, T)], errors: &mut Diagnostics) -> Option<T> {
        let text = self.text(errors)?;
        let plain = |word: &str| word.to_ascii_lowercase().replace(['-', '_'], "");
        let wanted = plain(&text.value());
        let hit = words.iter().find(|(word, java, _)| wanted == plain(word) || wanted == plain(java));
        if hit.is_none() {
            let known: Vec<_> = words.iter().map(|(word, ..)| format!("`\"{word}\"`")).collect();
            errors.on(&text, format!("`{}` is {}", self.key, known.join(" or ")));
        }
        hit.map(|(.., value)| *value)
    }
}
