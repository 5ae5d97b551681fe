//! `#[rocketmq_boot::main]`: the body of a program.

use proc_macro2::TokenStream;
use quote::quote;

use crate::{
    diag::Diagnostics,
    function::{self, Function},
};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    function::no_arguments(&attribute, "rocketmq_boot::main", &mut errors);
    if let Some(function) = Function::parse(item.clone(), "the main function", &mut errors) {
        if function.name != "main" {
            errors.on(&function.name, "`#[rocketmq_boot::main]` belongs on `async fn main`");
        }
        if !function.is_async {
            errors.on(&function.name, "the main function is an `async fn`");
        }
        if let Some(argument) = function.arguments.first() {
            errors.on(argument, "the main function takes no arguments: components are arguments of hooks");
        }
    }
    if let Some(errors) = errors.into_errors() {
        return quote! { #errors fn main() {} };
    }
    quote! {
        fn main() -> ::std::process::ExitCode {
            #item
            ::rocketmq_boot::__private::main(main)
        }
    }
}
