//! Where in the source something was declared.

use std::fmt;

/// A line of a source file, as reports show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The package that it is in.
    pub package: &'static str,
    /// The file, from the package's folder.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Cuts the folder of the package off a file's name.
///
/// Inside of a workspace the compiler names files from the workspace's folder: the leading parts of the file's
/// name are then the trailing parts of the package's folder.
#[doc(hidden)]
pub const fn source_file(file: &'static str, package: &'static str) -> &'static str {
    let (bytes, folder) = (file.as_bytes(), package.as_bytes());
    let mut at = bytes.len();
    while at > 0 {
        at -= 1;
        if is_separator(bytes[at]) && is_suffix(bytes, at, folder) {
            return file.split_at(at + 1).1;
        }
    }
    file
}

const fn is_separator(byte: u8) -> bool {
    byte == b'/' || byte == b'\\'
}

/// Whether `folder` ends with whole parts that are the first `len` bytes of `file`.
const fn is_suffix(file: &[u8], len: usize, folder: &[u8]) -> bool {
    if len == 0 || len > folder.len() {
        return false;
    }
    let start = folder.len() - len;
    if start > 0 && !is_separator(folder[start - 1]) {
        return false;
    }
    let mut at = 0;
    while at < len {
        let same =
            file[at] == folder[start + at] || (is_separator(file[at]) && is_separator(folder[start + at]));
        if !same {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_from_the_folder_of_their_package() {
        assert_eq!(source_file("examples/shop/src/main.rs", "/home/ann/work/examples/shop"), "src/main.rs");
        assert_eq!(source_file("src/main.rs", "/home/ann/shop"), "src/main.rs");
        assert_eq!(source_file("/home/ann/shop/src/main.rs", "/home/ann/shop"), "src/main.rs");
        assert_eq!(source_file("workshop/src/main.rs", "/home/ann/shop"), "workshop/src/main.rs");
        assert_eq!(source_file("examples\\shop\\src\\main.rs", "C:\\work\\examples\\shop"), "src\\main.rs");
    }
}
