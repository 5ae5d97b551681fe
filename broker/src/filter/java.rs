//! Numbers in texts, read as Java reads them, and numbers compared as Java compares them.

use std::cmp::Ordering;

/// What `Double.valueOf` makes of a text, but for its hexadecimal form, which is no number here.
pub(super) fn double(text: &str) -> Option<f64> {
    let text = text.trim_matches(|c: char| c <= ' ');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    let signed = |value: f64| if negative { -value } else { value };
    match unsigned {
        "NaN" => return Some(f64::NAN),
        "Infinity" => return Some(signed(f64::INFINITY)),
        _ => {}
    }
    let number = unsigned.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(unsigned);
    // The words for numbers that Rust knows and Java does not begin with a letter.
    if !number.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    number.parse().ok().map(signed)
}

/// What `Double.compareTo` says: -0 is less than 0, and nothing is greater than what is no number.
pub(super) fn compare_doubles(left: f64, right: f64) -> Ordering {
    let bits = |value: f64| if value.is_nan() { f64::NAN.abs().to_bits() } else { value.to_bits() };
    left.partial_cmp(&right)
        .filter(|order| order.is_ne())
        .unwrap_or_else(|| bits(left).cast_signed().cmp(&bits(right).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_read_as_java_reads_them() {
        for (text, value) in [
            ("1", Some(1.0)),
            (" -1.5e3 ", Some(-1500.0)),
            ("+.5f", Some(0.5)),
            ("5.D", Some(5.0)),
            ("1e400", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("inf", None),
            ("nan", None),
            ("infinity", None),
            ("", None),
            (".", None),
            ("-", None),
            ("+-1", None),
            ("1_000", None),
            ("0x1p3", None),
            ("1ff", None),
        ] {
            assert_eq!(double(text), value, "{text:?}");
        }
        assert!(double("NaN").unwrap().is_nan());
    }

    #[test]
    fn doubles_compare_as_in_java() {
        for (left, right, order) in [
            (1.0, 2.0, Ordering::Less),
            (-0.0, 0.0, Ordering::Less),
            (0.0, 0.0, Ordering::Equal),
            (f64::NAN, f64::INFINITY, Ordering::Greater),
            (f64::NAN, -f64::NAN, Ordering::Equal),
            (-f64::NAN, 1.0, Ordering::Greater),
        ] {
            assert_eq!(compare_doubles(left, right), order, "{left} {right}");
        }
    }
}
