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

/// How places are told: with their package once there is more than one of these.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telling {
    with_package: bool,
}

impl Telling {
    /// For reports about these places.
    pub(crate) fn of(places: impl IntoIterator<Item = Place>) -> Self {
        let mut packages = places.into_iter().map(|place| place.package);
        let first = packages.next();
        Self { with_package: packages.any(|package| Some(package) != first) }
    }

    pub(crate) fn tell(self, place: &Place) -> String {
        match self.with_package {
            true => format!("{}/{place}", place.package),
            false => place.to_string(),
        }
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
    fn the_package_is_told_when_there_are_several() {
        let here = Place { package: "shop", file: "src/lib.rs", line: 7 };
        let there = Place { package: "audit", ..here };
        assert_eq!(Telling::of([here, here]).tell(&here), "src/lib.rs:7");
        assert_eq!(Telling::of([here, there]).tell(&there), "audit/src/lib.rs:7");
    }

    #[test]
    fn files_are_named_from_the_folder_of_their_package() {
        assert_eq!(source_file("examples/shop/src/main.rs", "/home/ann/work/examples/shop"), "src/main.rs");
        assert_eq!(source_file("src/main.rs", "/home/ann/shop"), "src/main.rs");
        assert_eq!(source_file("/home/ann/shop/src/main.rs", "/home/ann/shop"), "src/main.rs");
        assert_eq!(source_file("workshop/src/main.rs", "/home/ann/shop"), "workshop/src/main.rs");
        assert_eq!(source_file("examples\\shop\\src\\main.rs", "C:\\work\\examples\\shop"), "src\\main.rs");
    }
}
