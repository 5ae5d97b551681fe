//! Java's `String.hashCode`, which tags codes, key indexes and sharding keys are made of.

/// The hash that Java computes for `text`: over UTF-16 units, not over bytes.
///
/// ```
/// use rocketmq_boot_protocol::message::hash::java_hash;
/// assert_eq!(java_hash("TagA"), 2_598_919);
/// assert_eq!(java_hash("标签"), 857_175);
/// ```
pub fn java_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if text.is_ascii() {
        return text.bytes().fold(0, |hash, byte| step(hash, u16::from(byte)));
    }
    text.encode_utf16().fold(0, step)
}

/// The code of a tag in a consume-queue entry: its hash, sign-extended; 0 for no tag.
pub fn tags_code(tag: &str) -> i64 {
    i64::from(java_hash(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_javas_hash_code() {
        assert_eq!(java_hash(""), 0);
        assert_eq!(java_hash("a"), 97);
        assert_eq!(java_hash("hello"), 99_162_322);
        assert_eq!(java_hash("polygenelubricants"), i32::MIN);
        // Outside the basic plane: two surrogates, 0xD83D and 0xDE00.
        assert_eq!(java_hash("😀"), 0xD83D * 31 + 0xDE00);
    }

    #[test]
    fn tags_codes_keep_the_sign() {
        assert_eq!(tags_code("polygenelubricants"), i64::from(i32::MIN));
        assert_eq!(tags_code(""), 0);
    }
}
