//! `#[on_start]`: an entry in the list of start hooks.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use crate::{
    diag::Diagnostics,
    function::{self, Function},
};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    function::no_arguments(&attribute, "on_start", &mut errors);
    let function = Function::parse(item.clone(), "a start hook", &mut errors);
    if let Some(function) = &function
        && !function.is_async
    {
        errors.on(&function.name, "a start hook is an `async fn`");
    }
    let added = function.map(|function| entry(&function));
    function::finish(item, errors, added)
}

fn entry(function: &Function) -> TokenStream {
    let (name, types, output) = (&function.name, &function.arguments, &function.output);
    let text = name.to_string();
    let (constants, variables) = (function.constants(), function.variables());
    let makers = types.iter().map(|ty| quote_spanned!(ty.span()=> p::application::<#ty>()));
    let outcome = quote_spanned!(output.span()=> p::hook_outcome::<#output>());
    let place = function::place();
    quote! {
        const _: () = {
            use ::rocketmq_boot::__private as p;
            #(const #constants: p::AppArgument<#types> = #makers;)*
            const OUT: p::HookOut<#output> = #outcome;
            p::inventory::submit! {
                p::HookEntry {
                    name: #text,
                    place: #place,
                    function: || p::type_id_of(#name),
                    requires: |requires| {
                        let _ = &requires;
                        #((#constants.requires)(requires);)*
                    },
                    call: |cx| ::std::boxed::Box::pin(async move {
                        let _ = &cx;
                        #(let #variables = (#constants.make)(&cx)?;)*
                        OUT(#name(#(#variables),*).await)
                    }),
                }
            }
        };
    }
}
