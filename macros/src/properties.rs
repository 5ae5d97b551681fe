//! `#[derive(Properties)]`: the keys of a struct, and the function that reads it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Data, DeriveInput, Expr, Field, Fields, Ident, LitStr, Meta, Type, spanned::Spanned};

use crate::{
    attr::{self, Known},
    diag::Diagnostics,
    function,
};

const KEYS: &[Known] = &[Known::Key("prefix", &[])];

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let input: DeriveInput = match syn::parse2(item) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let model = Model::read(&input, &mut errors);
    match (errors.into_errors(), model) {
        (Some(errors), _) => errors,
        (None, Some(model)) => model.expand(&input),
        (None, None) => TokenStream::new(),
    }
}

struct Model {
    prefix: Option<LitStr>,
    fields: Vec<Property>,
}

struct Property {
    field: Field,
    key: String,
    kind: Kind,
}

enum Kind {
    Required,
    Optional,
    /// With the value, or the type's own default.
    Defaulted(Option<Expr>),
    Nested,
}

impl Model {
    fn read(input: &DeriveInput, errors: &mut Diagnostics) -> Option<Self> {
        if !input.generics.params.is_empty() {
            errors.on(&input.generics, "`Properties` cannot be generic");
        }
        let mut prefix = None;
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("properties")) {
            if let Meta::List(list) = &attribute.meta {
                for pair in attr::pairs(list.tokens.clone(), KEYS, errors) {
                    prefix = pair.text(errors);
                }
            } else {
                errors.on(attribute, "expected `#[properties(prefix = \"..\")]`");
            }
        }
        if let Some(text) = &prefix {
            let value = text.value();
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            if value.is_empty() || !value.chars().all(legal) || value.split('.').any(str::is_empty) {
                errors.on(text, "a prefix is lower-case words joined by `-` and `.`, like `shop.billing`");
            } else if value == "rocketmq" || value.starts_with("rocketmq.") {
                errors.on(text, "the prefix `rocketmq` belongs to the framework");
            }
        }
        let Data::Struct(data) = &input.data else {
            errors.on(&input.ident, "`Properties` is for structs");
            return None;
        };
        let Fields::Named(named) = &data.fields else {
            errors.on(&input.ident, "`Properties` is for structs with named fields");
            return None;
        };
        let fields = named.named.iter().map(|field| Property::read(field, errors)).collect();
        Some(Self { prefix, fields })
    }

    fn expand(&self, input: &DeriveInput) -> TokenStream {
        let name = &input.ident;
        let text = name.to_string();
        let idents: Vec<_> = self.fields.iter().map(|property| &property.field.ident).collect();
        let keys = self.fields.iter().map(Property::key_tokens);
        let reads = self.fields.iter().map(Property::read_tokens);
        let nested = self.fields.iter().filter_map(Property::nested_tokens);
        let entry = self.prefix.as_ref().map(|prefix| {
            let place = function::place();
            quote! {
                p::inventory::submit! {
                    p::PropertiesEntry {
                        name: #text,
                        place: #place,
                        prefix: #prefix,
                        keys: <#name as p::Properties>::KEYS,
                        provides: || p::Provided::of::<#name>(),
                        bind: |binder| p::erased(<#name as p::Properties>::bind(binder)),
                    }
                }
            }
        });
        let default =
            self.fields.iter().map(Property::default_tokens).collect::<Option<Vec<_>>>().map(|values| {
                quote! {
                    impl ::core::default::Default for #name {
                        fn default() -> Self {
                            Self { #(#idents: #values),* }
                        }
                    }
                }
            });
        quote! {
            const _: () = {
                use ::rocketmq_boot::__private as p;
                #(#nested)*
                impl p::Properties for #name {
                    const KEYS: &'static [p::Key] = &[#(#keys),*];
                    fn bind(binder: &mut p::Binder<'_>) -> ::core::option::Option<Self> {
                        let _ = &binder;
                        #(let #idents = #reads;)*
                        ::core::option::Option::Some(Self { #(#idents: #idents?),* })
                    }
                }
                #entry
                #default
            };
        }
    }
}

impl Property {
    fn read(field: &Field, errors: &mut Diagnostics) -> Self {
        let has = |name: &str| field.attrs.iter().find(|attribute| attribute.path().is_ident(name));
        let kind = match (has("default"), has("nested")) {
            (Some(attribute), Some(_)) => {
                errors.on(attribute, "a nested struct brings its own defaults");
                Kind::Nested
            }
            (None, Some(_)) => Kind::Nested,
            (Some(attribute), None) => Kind::Defaulted(default_value(attribute, errors)),
            (None, None) if is_option(&field.ty) => Kind::Optional,
            (None, None) => Kind::Required,
        };
        let key = field.ident.as_ref().map(|ident| ident.to_string().replace('_', "-")).unwrap_or_default();
        let key = key.trim_start_matches("r#").to_owned();
        Self { field: field.clone(), key, kind }
    }

    fn key_tokens(&self) -> TokenStream {
        let (key, ty) = (&self.key, &self.field.ty);
        match self.kind {
            Kind::Nested => quote_spanned!(ty.span()=> p::Key::table(#key, <#ty as p::Properties>::KEYS)),
            _ => quote!(p::Key::any(#key)),
        }
    }

    /// The constant that is the only one to mention what a nested struct must be, so that rustc complains once.
    fn nested_tokens(&self) -> Option<TokenStream> {
        let Kind::Nested = self.kind else { return None };
        let (name, ty) = (self.nested_name(), &self.field.ty);
        let value = quote_spanned!(ty.span()=> p::nested::<#ty>());
        Some(quote!(const #name: p::Nested<#ty> = #value;))
    }

    fn nested_name(&self) -> Ident {
        format_ident!("NESTED_{}", self.key.replace('-', "_").to_uppercase())
    }

    fn read_tokens(&self) -> TokenStream {
        let (key, ty) = (&self.key, &self.field.ty);
        match &self.kind {
            Kind::Required => quote_spanned!(ty.span()=> p::Binder::required::<#ty>(binder, #key)),
            Kind::Optional => quote_spanned!(ty.span()=> p::Binder::optional::<#ty>(binder, #key)),
            Kind::Nested => {
                let name = self.nested_name();
                quote!(p::Binder::nested(binder, #key, &#name))
            }
            Kind::Defaulted(value) => {
                let value = value_tokens(value.as_ref());
                quote_spanned!(ty.span()=> p::Binder::or_else::<#ty>(binder, #key, || #value))
            }
        }
    }

    fn default_tokens(&self) -> Option<TokenStream> {
        match &self.kind {
            Kind::Required => None,
            Kind::Optional => Some(quote!(::core::option::Option::None)),
            // Whether a nested struct has a default is not visible here, so that `Default` is left to the user.
            Kind::Nested => None,
            Kind::Defaulted(value) => Some(value_tokens(value.as_ref())),
        }
    }
}

fn default_value(attribute: &Attribute, errors: &mut Diagnostics) -> Option<Expr> {
    match &attribute.meta {
        Meta::List(list) => errors.take(syn::parse2(list.tokens.clone())),
        Meta::Path(_) => None,
        other => {
            errors.on(other, "expected `#[default]` or `#[default(value)]`");
            None
        }
    }
}

fn value_tokens(value: Option<&Expr>) -> TokenStream {
    match value {
        // Text literals are written for `String` fields.
        Some(Expr::Lit(literal)) if matches!(literal.lit, syn::Lit::Str(_)) => {
            quote_spanned!(literal.span()=> ::core::convert::Into::into(#literal))
        }
        Some(value) => quote!(#value),
        None => quote!(::core::default::Default::default()),
    }
}

fn is_option(ty: &Type) -> bool {
    matches!(ty, Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Option"))
}
