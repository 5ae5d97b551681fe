//! `#[rocketmq_listener]`: an entry in the list of listeners.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Expr, ExprLit, ItemImpl, Lit, spanned::Spanned};

use crate::{
    attr::{self, Known, Pair},
    diag::Diagnostics,
    function::{self, Function},
};

const LATER: &str = "is not supported yet";
const NO_EFFECT: &str = "never had an effect in rocketmq-spring: use `concurrency`";

const KEYS: &[Known] = &[
    Known::Key("topic", &[]),
    Known::Key("group", &["consumer_group"]),
    Known::Key("tag", &["selector_expression"]),
    Known::Key("model", &["message_model"]),
    Known::Key("order", &["consume_mode"]),
    Known::Key("concurrency", &["consume_thread_number"]),
    Known::Key("max_attempts", &[]),
    Known::Key("max_reconsume_times", &[]),
    Known::Key("batch", &["consume_message_batch_max_size"]),
    Known::Key("pull_batch", &["pull_batch_size"]),
    Known::Key("start", &["consume_from_where"]),
    Known::Key("selector_type", &[]),
    Known::Key("cluster", &[]),
    Known::Key("id", &[]),
    Known::Refused("consume_thread_max", NO_EFFECT),
    Known::Refused("name_server", "belongs in application.yaml: name a `cluster` instead"),
    Known::Refused("sql", LATER),
    Known::Refused("dead_letters_of", LATER),
    Known::Refused("reply_timeout", LATER),
    Known::Refused("consume_timeout", LATER),
    Known::Refused("delay_level_when_next_consume", LATER),
    Known::Refused("suspend_current_queue_time_millis", LATER),
    Known::Refused("pull_interval", LATER),
    Known::Refused("namespace", LATER),
    Known::Refused("namespace_v2", LATER),
    Known::Refused("tls_enable", LATER),
    Known::Refused("access_key", LATER),
    Known::Refused("secret_key", LATER),
    Known::Refused("access_channel", LATER),
    Known::Refused("enable_msg_trace", LATER),
    Known::Refused("customized_trace_topic", LATER),
    Known::Refused("instance_name", "is not needed: every cluster has its own client"),
    Known::Refused(
        "await_termination_millis_when_shutdown",
        "belongs to the application: set `rocketmq.shutdown-timeout` in application.yaml",
    ),
];

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let spec = Spec::read(attribute, &mut errors);
    if let Ok(block) = syn::parse2::<ItemImpl>(item.clone()) {
        errors.on(
            block.impl_token,
            "`#[rocketmq_listener]` on an `impl` block is not supported yet: use an `async fn`",
        );
        return function::finish(item, errors, None);
    }
    let function = Function::parse(item.clone(), "a listener", &mut errors);
    if let Some(function) = &function
        && !function.is_async
    {
        errors.on(&function.name, "a listener is an `async fn`");
    }
    let added = spec.zip(function).map(|(spec, function)| entry(&spec, &function));
    function::finish(item, errors, added)
}

/// What the attribute says, as tokens of the fields of a `ListenerSpec`.
struct Spec {
    id: Option<TokenStream>,
    topic: Option<TokenStream>,
    group: TokenStream,
    tag: Option<TokenStream>,
    cluster: Option<TokenStream>,
    model: Option<TokenStream>,
    start: Option<TokenStream>,
    concurrency: Option<u32>,
    max_attempts: Option<u32>,
    pull_batch: Option<u32>,
    batch: Option<u32>,
}

impl Spec {
    fn read(attribute: TokenStream, errors: &mut Diagnostics) -> Option<Self> {
        let end = attribute.clone().into_iter().last().map_or_else(Span::call_site, |token| token.span());
        let pairs = attr::pairs(attribute, KEYS, errors);
        let find = |name: &str| pairs.iter().find(|pair| pair.name == name);
        let mut number = |name: &str, least| find(name).and_then(|pair| pair.number(least, errors));

        let concurrency = number("concurrency", 1);
        let pull_batch = number("pull_batch", 1);
        let batch = number("batch", 1);
        let attempts = number("max_attempts", 1);
        let retries = number("max_reconsume_times", 0);
        if let (Some(_), Some(_), Some(pair)) = (attempts, retries, find("max_reconsume_times")) {
            errors.on(&pair.key, "`max_reconsume_times` is `max_attempts` less one: give one of them");
        }

        let mut name = |key: &str, what| find(key).map(|pair| name(pair, what, errors));
        let topic = name("topic", "topic");
        let group = name("group", "group");
        let tag = find("tag").map(|pair| tag(pair, errors));
        let cluster = find("cluster").map(|pair| constant(pair, errors));
        let id = find("id").map(|pair| constant(pair, errors));
        if group.is_none() && find("group").is_none() {
            errors.at(end, "a listener needs `group = \"..\"`: the consumer group that it belongs to");
        }

        let models =
            [("clustering", "CLUSTERING", "Clustering"), ("broadcasting", "BROADCASTING", "Broadcasting")];
        let model = find("model").and_then(|pair| pair.choice(&models, errors));
        let starts =
            [("last", "CONSUME_FROM_LAST_OFFSET", "Last"), ("first", "CONSUME_FROM_FIRST_OFFSET", "First")];
        let start = find("start").and_then(|pair| pair.choice(&starts, errors));
        let orders = [("concurrent", "CONCURRENTLY", true), ("orderly", "ORDERLY", false)];
        if let Some(pair) = find("order")
            && pair.choice(&orders, errors) == Some(false)
        {
            errors.on(&pair.value, "`order = \"orderly\"` is not supported yet");
        }
        let selectors = [("tag", "TAG", true), ("sql", "SQL92", false)];
        if let Some(pair) = find("selector_type")
            && pair.choice(&selectors, errors) == Some(false)
        {
            errors.on(&pair.value, "selection by SQL is not supported yet");
        }
        let variant = |ty: &str, word: &str| {
            let (ty, word) =
                (syn::Ident::new(ty, Span::call_site()), syn::Ident::new(word, Span::call_site()));
            quote!(p::#ty::#word)
        };
        Some(Self {
            id,
            topic,
            group: group?,
            tag,
            cluster,
            model: model.map(|word| variant("Model", word)),
            start: start.map(|word| variant("Start", word)),
            concurrency,
            max_attempts: attempts.or(retries.map(|retries| retries.saturating_add(1))),
            pull_batch,
            batch,
        })
    }

    fn tokens(&self, topic: &TokenStream) -> TokenStream {
        let option = |value: &Option<TokenStream>| match value {
            Some(value) => quote!(::core::option::Option::Some(#value)),
            None => quote!(::core::option::Option::None),
        };
        let number = |value: Option<u32>| match value {
            Some(value) => quote!(::core::option::Option::Some(#value)),
            None => quote!(::core::option::Option::None),
        };
        let (id, cluster, model, start) =
            (option(&self.id), option(&self.cluster), option(&self.model), option(&self.start));
        let tag = match (&self.tag, &self.topic) {
            (None, None) => quote!(CONTRACT.1),
            (tag, _) => option(tag),
        };
        let (concurrency, max_attempts, pull_batch, batch) = (
            number(self.concurrency),
            number(self.max_attempts),
            number(self.pull_batch),
            number(self.batch),
        );
        let group = &self.group;
        quote! {
            p::ListenerSpec {
                id: #id,
                topic: #topic,
                group: #group,
                tag: #tag,
                cluster: #cluster,
                model: #model,
                start: #start,
                concurrency: #concurrency,
                max_attempts: #max_attempts,
                pull_batch: #pull_batch,
                batch: #batch,
            }
        }
    }
}

/// Text, or a constant of the user's.
fn constant(pair: &Pair, errors: &mut Diagnostics) -> TokenStream {
    match &pair.value {
        Expr::Path(path) => quote!(#path),
        _ => match pair.text(errors) {
            Some(text) if text.value().trim().is_empty() => {
                errors.on(&text, format!("`{}` is empty", pair.key));
                quote!("")
            }
            Some(text) => quote!(#text),
            None => quote!(""),
        },
    }
}

/// The name of a topic or group. What holds a placeholder is checked at start.
fn name(pair: &Pair, what: &str, errors: &mut Diagnostics) -> TokenStream {
    if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value {
        let value = text.value();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '%' | '|');
        if !value.contains("${")
            && let Some(bad) = value.chars().find(|c| !legal(*c))
        {
            let hint = match (what, bad) {
                ("topic", ':') => ", and a tag is given by `tag = \"..\"`",
                _ => "",
            };
            errors.on(
                text,
                format!("a {what} cannot contain `{bad}`: letters, digits, `_`, `-`, `%` and `|` only{hint}"),
            );
        }
    }
    constant(pair, errors)
}

fn tag(pair: &Pair, errors: &mut Diagnostics) -> TokenStream {
    if let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value {
        let value = text.value();
        if !value.contains("${") && value.split("||").any(|tag| tag.trim().is_empty()) {
            errors.on(text, "a tag is `\"a\"`, `\"a || b\"` or `\"*\"`");
        }
    }
    constant(pair, errors)
}

fn entry(spec: &Spec, function: &Function) -> TokenStream {
    let (name, types, output) = (&function.name, &function.arguments, &function.output);
    let text = name.to_string();
    let (constants, variables) = (function.constants(), function.variables());
    let place = function::place();
    let (argument, maker, outcome, out) = match spec.batch {
        None => (quote!(Argument), quote!(message), quote!(outcome), quote!(Out)),
        Some(_) => (quote!(BatchArgument), quote!(batch), quote!(batch_outcome), quote!(BatchOut)),
    };
    let makers = types.iter().map(|ty| quote_spanned!(ty.span()=> p::#maker::<#ty>()));
    let outcome = quote_spanned!(output.span()=> p::#outcome::<#output>());
    let contract = spec.topic.is_none().then(|| {
        quote! {
            const CONTRACT: (&str, ::core::option::Option<&str>) = p::from_contract(&[#(#constants.contract),*]);
        }
    });
    let topic = spec.topic.clone().unwrap_or_else(|| quote!(CONTRACT.0));
    let fields = spec.tokens(&topic);
    let finish = match spec.batch {
        None => quote!(OUT(result, asked)),
        Some(_) => quote!(OUT(result, asked, messages.len())),
    };
    let (call, input, from) = match spec.batch {
        None => (quote!(One), quote!(message), quote!(&message)),
        Some(_) => (quote!(Batch), quote!(messages), quote!(&messages)),
    };
    quote! {
        const _: () = {
            use ::rocketmq_boot::__private as p;
            #[allow(unused_imports, reason = "which of the two is used depends on the return type")]
            use p::{AskFailure as _, AskNothing as _};
            #(const #constants: p::#argument<#types> = #makers;)*
            const OUT: p::#out<#output> = #outcome;
            #contract
            p::inventory::submit! {
                p::ListenerEntry {
                    name: #text,
                    place: #place,
                    spec: #fields,
                    function: || p::type_id_of(#name),
                    requires: |requires| {
                        let _ = &requires;
                        #((#constants.requires)(requires);)*
                    },
                    call: p::Call::#call(|cx, #input| ::std::boxed::Box::pin(async move {
                        let _ = (&cx, &#input);
                        #(let #variables = (#constants.make)(&cx, #from)?;)*
                        let result = #name(#(#variables),*).await;
                        let asked = (&p::Ask(&result)).verdict();
                        ::core::result::Result::Ok(#finish)
                    })),
                }
            }
        };
    }
}
