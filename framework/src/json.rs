//! JSON payloads, going out and coming in.

use std::ops::{Deref, DerefMut};

/// A value as JSON: `Json(&order)` goes into `Template::send`, `Json(order): Json<Order>` comes out in a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Json<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
