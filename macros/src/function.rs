//! What listeners, hooks and component constructors have in common: they are plain free functions.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, Ident, ItemFn, ReturnType, Safety, Type, spanned::Spanned};

use crate::diag::Diagnostics;

/// A function that the framework can call.
pub(crate) struct Function {
    pub(crate) name: Ident,
    pub(crate) arguments: Vec<Type>,
    pub(crate) output: Type,
    pub(crate) is_async: bool,
}

impl Function {
    /// Reads the function below the attribute; `what` names it in messages ("a listener").
    pub(crate) fn parse(item: TokenStream, what: &str, errors: &mut Diagnostics) -> Option<Self> {
        let span = item.clone().into_iter().next().map(|token| token.span());
        let function: ItemFn = match syn::parse2(item) {
            Ok(function) => function,
            Err(_) => {
                let span = span.unwrap_or_else(proc_macro2::Span::call_site);
                errors.at(span, format!("{what} is a function"));
                return None;
            }
        };
        let signature = &function.sig;
        if !signature.generics.params.is_empty() {
            errors.on(&signature.generics, format!("{what} cannot be generic: nobody names its types"));
        }
        if let Safety::Unsafe(keyword) = &signature.safety {
            errors.on(keyword, format!("{what} cannot be unsafe"));
        }
        if let Some(abi) = &signature.abi {
            errors.on(abi, format!("{what} is an ordinary Rust function"));
        }
        let mut arguments = Vec::new();
        for input in &signature.inputs {
            match input {
                FnArg::Receiver(receiver) => {
                    errors.on(receiver, format!("{what} is a free function, without `self`"));
                }
                FnArg::Typed(argument) => match &*argument.ty {
                    Type::ImplTrait(ty) => errors.on(ty, format!("an argument of {what} needs a named type")),
                    ty => arguments.push(ty.clone()),
                },
            }
        }
        let output = match &signature.output {
            ReturnType::Default => syn::parse_quote_spanned!(signature.fn_token.span()=> ()),
            ReturnType::Type(_, ty) => {
                if let Type::ImplTrait(ty) = &**ty {
                    errors.on(ty, format!("the return type of {what} needs a name"));
                }
                (**ty).clone()
            }
        };
        Some(Self {
            name: signature.ident.clone(),
            arguments,
            output,
            is_async: signature.asyncness.is_some(),
        })
    }

    /// `A0`, `A1`, ..: the constants that hold what is known of each argument.
    pub(crate) fn constants(&self) -> Vec<Ident> {
        (0..self.arguments.len()).map(|n| format_ident!("A{n}")).collect()
    }

    /// `a0`, `a1`, ..: the arguments on their way into the call.
    pub(crate) fn variables(&self) -> Vec<Ident> {
        (0..self.arguments.len()).map(|n| format_ident!("a{n}")).collect()
    }
}

/// Where the item stands, for reports: the fields of a `Place`.
pub(crate) fn place() -> TokenStream {
    quote! {
        p::Place {
            package: ::core::env!("CARGO_PKG_NAME"),
            file: p::source_file(::core::file!(), ::core::env!("CARGO_MANIFEST_DIR")),
            line: ::core::line!(),
        }
    }
}

/// Refuses anything between the parentheses of an attribute that takes none.
pub(crate) fn no_arguments(attribute: &TokenStream, name: &str, errors: &mut Diagnostics) {
    if !attribute.is_empty() {
        errors.on(attribute, format!("`#[{name}]` takes no arguments"));
    }
}

/// The item, followed by the mistakes or by what the macro adds.
pub(crate) fn finish(item: TokenStream, errors: Diagnostics, added: Option<TokenStream>) -> TokenStream {
    let added = errors.into_errors().or(added);
    quote! { #item #added }
}
