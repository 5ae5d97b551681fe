//! `#[component]`: an entry in the list of component constructors.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Type, spanned::Spanned};

use crate::{
    diag::Diagnostics,
    function::{self, Function},
};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    function::no_arguments(&attribute, "component", &mut errors);
    let function = Function::parse(item.clone(), "a component constructor", &mut errors);
    if let Some(function) = &function
        && matches!(&function.output, Type::Tuple(tuple) if tuple.elems.is_empty())
    {
        errors.on(&function.name, "a component constructor returns the component, or a `Result` of it");
    }
    let added = function.map(|function| entry(&function));
    function::finish(item, errors, added)
}

fn entry(function: &Function) -> TokenStream {
    let (name, types, output) = (&function.name, &function.arguments, &function.output);
    let text = name.to_string();
    let (constants, variables) = (function.constants(), function.variables());
    let makers = types.iter().map(|ty| quote_spanned!(ty.span()=> p::application::<#ty>()));
    let wait = function.is_async.then(|| quote!(.await));
    // With the span of the return type, an error type that is none is shown there.
    let tag = quote_spanned!(output.span()=> p::Made::<#output>::TAG);
    let finish = quote_spanned!(output.span()=> (&#tag).finish(made));
    let place = function::place();
    quote! {
        const _: () = {
            use ::rocketmq_boot::__private as p;
            #[allow(unused_imports, reason = "which of the two is used depends on the return type")]
            use p::{MadeDirectly as _, MadeOrFailed as _};
            #(const #constants: p::AppArgument<#types> = #makers;)*
            p::inventory::submit! {
                p::ComponentEntry {
                    name: #text,
                    place: #place,
                    function: || p::type_id_of(#name),
                    provides: || (&#tag).provides(),
                    requires: |requires| {
                        let _ = &requires;
                        #((#constants.requires)(requires);)*
                    },
                    make: |cx| ::std::boxed::Box::pin(async move {
                        let _ = &cx;
                        #(let #variables = (#constants.make)(&cx)?;)*
                        let made = #name(#(#variables),*)#wait;
                        #finish
                    }),
                }
            }
        };
    }
}
