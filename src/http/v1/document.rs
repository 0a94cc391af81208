//! `GET /v1/openapi.json`: the document of this API, made from the router that serves it.
//!
//! Each route is written once, in `v1::routes`; its parameters, bodies and answers are read from the types of its handler.
//! So a route cannot be missing here, nor a shape differ from what is served.
#![expect(clippy::default_trait_access, reason = "the type is a map of a crate that we do not name")]

use std::sync::Arc;

use aide::{
    OperationInput, OperationOutput,
    generate::GenContext,
    openapi::{
        MediaType, OpenApi, Operation, Parameter, ParameterData, ParameterSchemaOrContent, PathStyle, ReferenceOr,
        RequestBody, Response, SchemaObject, SecurityScheme, StatusCode,
    },
    operation::{ParamLocation, add_parameters, parameters_from_schema, set_body},
    transform::{TransformOpenApi, TransformOperation},
};
use axum::{
    Extension,
    body::Bytes,
    http::header,
    response::{IntoResponse, Response as HttpResponse},
};
use schemars::{JsonSchema, Schema, json_schema};

use super::{
    answer::{Answer, Either, Failure, Wrong},
    auth::Caller,
    gating::PendingApproval,
    input::{At, JsonBody, LetterBody, Query},
    scopes,
};

const JSON: &str = "application/json";

/// The document, as it is sent.
#[derive(Clone)]
pub(super) struct Document(Arc<Bytes>);

impl Document {
    /// The document as text.
    pub(super) fn of(api: &OpenApi) -> Self {
        let bytes = serde_json::to_vec(api).expect("names, numbers and schemas are always JSON");
        Self(Arc::new(bytes.into()))
    }
}

/// This document, as it is answered.
pub(super) struct OpenApiJson(Bytes);

impl IntoResponse for OpenApiJson {
    fn into_response(self) -> HttpResponse {
        ([(header::CONTENT_TYPE, JSON)], self.0).into_response()
    }
}

/// `GET /v1/openapi.json`
pub(super) async fn show(Extension(Document(bytes)): Extension<Document>) -> OpenApiJson {
    OpenApiJson(Bytes::clone(&bytes))
}

/// What a route does, in a sentence, and a name for it.
pub(super) fn says(
    name: &'static str,
    summary: &'static str,
) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.id(name).summary(summary)
}

/// What the document says of the API as a whole.
pub(super) fn head(api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
    let mut api = api
        .title("mailbell mail API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(
            "The embedded mail service, in the dialects of every MultiMail client. Every answer is JSON, errors too; \
             an error is `{\"error\": \"a sentence\"}`. A thing that clients know under several names bears them all.",
        )
        .security_scheme(
            "bearer",
            SecurityScheme::Http {
                scheme: "bearer".into(),
                bearer_format: None,
                description: Some("`Authorization: Bearer KEY`".into()),
                extensions: Default::default(),
            },
        )
        .security_scheme(
            "key",
            SecurityScheme::ApiKey {
                location: aide::openapi::ApiKeyLocation::Header,
                name: "X-API-Key".into(),
                description: Some("The same key, in a header of its own".into()),
                extensions: Default::default(),
            },
        );
    let paths = api.inner_mut().paths.as_mut();
    for (path, item) in paths.into_iter().flat_map(|paths| &mut paths.paths) {
        let ReferenceOr::Item(item) = item else { continue };
        let names: Vec<_> = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let changes = [&mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        changes.into_iter().flatten().for_each(may_wait);
        item.parameters.extend(names.into_iter().map(|name| ReferenceOr::Item(part_of_path(name))));
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
        operations.into_iter().flatten().for_each(scopes::tell);
    }
    api
}

/// Each change may have to wait for an operator, and is then answered before its handler hears of it.
fn may_wait(operation: &mut Operation) {
    let Some(responses) = operation.responses.as_mut().filter(|_| !operation.security.is_empty()) else { return };
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.meta_schema = None);
    let waits = settings.into_generator().into_root_schema_for::<PendingApproval>();
    let accepted = responses.responses.entry(StatusCode::Code(202));
    let there =
        accepted.or_insert_with(|| ReferenceOr::Item(response("It waits for an operator.", JSON, waits.clone())));
    if let ReferenceOr::Item(there) = there
        && let Some(schema) = there.content.get_mut(JSON).and_then(|media| media.schema.as_mut())
        && schema.json_schema != waits
    {
        schema.json_schema = json_schema!({ "anyOf": [schema.json_schema, waits] });
    }
}

fn part_of_path(name: &str) -> Parameter {
    let json_schema = json_schema!({ "type": "string" });
    Parameter::Path {
        parameter_data: ParameterData {
            name: name.to_owned(),
            description: (name == "mailbox").then(|| "Its id or its address.".to_owned()),
            required: true,
            deprecated: None,
            format: ParameterSchemaOrContent::Schema(SchemaObject { json_schema, external_docs: None, example: None }),
            example: None,
            examples: Default::default(),
            explode: None,
            extensions: Default::default(),
        },
        style: PathStyle::Simple,
    }
}

fn media(kind: &str, json_schema: Schema) -> (String, MediaType) {
    let schema = Some(SchemaObject { json_schema, external_docs: None, example: None });
    (kind.to_owned(), MediaType { schema, ..MediaType::default() })
}

fn response(description: &str, kind: &str, schema: Schema) -> Response {
    Response {
        description: description.to_owned(),
        content: [media(kind, schema)].into_iter().collect(),
        ..Response::default()
    }
}

/// Whoever is asked who calls needs a key.
impl OperationInput for Caller {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        operation.security = ["bearer", "key"].map(|name| [(name.to_owned(), Vec::new())].into_iter().collect()).into();
    }
}

/// The names of the parts of a path are in the path.
impl<T> OperationInput for At<T> {}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        let schema = ctx.schema.subschema_for::<T>();
        let parameters = parameters_from_schema(ctx, schema, ParamLocation::Query);
        add_parameters(ctx, operation, parameters);
    }
}

fn takes<T: JsonSchema>(ctx: &mut GenContext, operation: &mut Operation) {
    let content = [media(JSON, ctx.schema.subschema_for::<T>())].into_iter().collect();
    set_body(ctx, operation, RequestBody { content, required: true, ..RequestBody::default() });
}

impl<T: JsonSchema> OperationInput for JsonBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        takes::<T>(ctx, operation);
    }
}

impl<T: JsonSchema> OperationInput for LetterBody<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        takes::<T>(ctx, operation);
    }
}

impl<const STATUS: u16, T: JsonSchema> OperationOutput for Answer<STATUS, T> {
    type Inner = T;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        let description = match STATUS {
            201 => "It is made.",
            202 => "It is taken in, and not done yet.",
            503 => "Not now.",
            _ => "What was asked for.",
        };
        let response = response(description, JSON, ctx.schema.subschema_for::<T>());
        vec![(Some(StatusCode::Code(STATUS)), response)]
    }
}

impl<A: OperationOutput, B: OperationOutput> OperationOutput for Either<A, B> {
    type Inner = Self;

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        let mut both = A::inferred_responses(ctx, operation);
        both.extend(B::inferred_responses(ctx, operation));
        both
    }
}

impl OperationOutput for Failure {
    type Inner = Wrong;

    fn inferred_responses(ctx: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        vec![(None, response("Why not.", JSON, ctx.schema.subschema_for::<Wrong>()))]
    }
}

impl OperationOutput for OpenApiJson {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        let document = json_schema!({ "type": "object", "required": ["openapi", "paths"] });
        vec![(Some(StatusCode::Code(200)), response("This document.", JSON, document))]
    }
}

/// The bytes of a file.
impl OperationOutput for super::attachments::FileBytes {
    type Inner = Self;

    fn inferred_responses(_: &mut GenContext, _: &mut Operation) -> Vec<(Option<StatusCode>, Response)> {
        let bytes = response("The bytes of the file, under its own media type.", "*/*", json_schema!({}));
        vec![(Some(StatusCode::Code(200)), bytes)]
    }
}
