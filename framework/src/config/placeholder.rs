//! `${key}` and `${key:default}` inside a text, nested at will.

/// Replaces every placeholder of `text` by what `find` says of its key, or by its default.
///
/// What `find` gives is taken as it is, so that it resolves its own placeholders first. A `$` that begins no
/// placeholder stays.
pub(crate) fn resolve(
    text: &str,
    find: &mut dyn FnMut(&str) -> Result<Option<String>, String>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = closing(inside).ok_or_else(|| format!("`{text}` has `${{` without `}}`"))?;
        let (key, default) = split(&inside[..end]);
        let key = resolve(key, find)?;
        match (find(key.trim())?, default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(&resolve(default, find)?),
            (None, None) => return Err(format!("`${{{key}}}` is not set and has no default")),
        }
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the placeholder that is open ends.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut previous = ' ';
    for (at, c) in inside.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

/// Key and default: the first colon outside of nested placeholders parts them.
fn split(inside: &str) -> (&str, Option<&str>) {
    let mut depth = 0_usize;
    let mut previous = ' ';
    for (at, c) in inside.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return (&inside[..at], Some(&inside[at + 1..])),
            _ => {}
        }
        previous = c;
    }
    (inside, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Result<String, String> {
        resolve(text, &mut |key| match key {
            "a" => Ok(Some("1".to_owned())),
            "name" => Ok(Some("a".to_owned())),
            "bad" => Err("cycle".to_owned()),
            _ => Ok(None),
        })
    }

    #[test]
    fn keys_defaults_and_nested_ones_are_replaced() {
        assert_eq!(with("x${a}y").unwrap(), "x1y");
        assert_eq!(with("${b:2}").unwrap(), "2");
        assert_eq!(with("${b:}").unwrap(), "");
        assert_eq!(with("${b:${c:${a}}}!").unwrap(), "1!");
        assert_eq!(with("${${name}}").unwrap(), "1");
        assert_eq!(with("${EU:127.0.0.1:9976}").unwrap(), "127.0.0.1:9976");
        assert_eq!(with("5$ {a} $").unwrap(), "5$ {a} $");
    }

    #[test]
    fn what_cannot_be_replaced_is_told() {
        assert_eq!(with("${b}").unwrap_err(), "`${b}` is not set and has no default");
        assert_eq!(with("${bad:1}").unwrap_err(), "cycle");
        assert_eq!(with("${a").unwrap_err(), "`${a` has `${` without `}`");
    }
}
