//! `#[derive(FromRow)]`: a struct from the columns of a row.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, parse_macro_input};

/// Read a row of the database into a struct, each field from the column of its name, in whatever order they are.
///
/// `#[row(name = "column")]` on a field names another column.
#[proc_macro_derive(FromRow, attributes(row))]
pub fn from_row(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(Error::into_compile_error).into()
}

fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(
            &input.ident,
            "`FromRow` is for structs: a row has one shape",
        ));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(
            &input.ident,
            "`FromRow` is for structs with named fields; a tuple is read from a row as it is",
        ));
    };
    let fields = fields.named.iter().map(field).collect::<syn::Result<Vec<_>>>()?;
    let name = &input.ident;
    let (generics, parameters, bounds) = input.generics.split_for_impl();
    Ok(quote! {
        impl #generics ::wasm_host_guest::sql::FromRow for #name #parameters #bounds {
            fn from_row(
                mut row: ::wasm_host_guest::sql::Row,
            ) -> ::core::result::Result<Self, ::wasm_host_guest::sql::Error> {
                ::core::result::Result::Ok(Self { #(#fields),* })
            }
        }
    })
}

/// One field, taken out of the row.
fn field(field: &Field) -> syn::Result<TokenStream> {
    let Some(name) = &field.ident else {
        return Err(Error::new_spanned(field, "a field without a name has no column"));
    };
    let mut column = None;
    for attribute in field.attrs.iter().filter(|attribute| attribute.path().is_ident("row")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("there is only `#[row(name = \"column\")]`"));
            }
            column = Some(meta.value()?.parse::<LitStr>()?.value());
            Ok(())
        })?;
    }
    // A field that is a keyword of Rust is a column without the mark of that.
    let column = column.unwrap_or_else(|| name.to_string().trim_start_matches("r#").to_string());
    Ok(quote!(#name: row.take(#column)?))
}
