//! What a handler is given: whose visit it is, and what their form said.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use serde_json::Value;

use super::{
    Rooms,
    failure::{Failure, refused},
    sessions::{Said, Session},
};
use crate::{
    domain::key::ApiKey,
    mail::api::Api,
    store::{audit::Entry, oversight::Decider},
};

/// Fields of a form, at most.
const FIELDS_MAX: usize = 16;

/// A request of an operator who is in.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) session: Arc<Session>,
    pub(super) rooms: Arc<Rooms>,
}

/// What a form said; its token was checked.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().take(FIELDS_MAX).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }
}

impl Visit {
    /// A path behind this session's door.
    pub(super) fn to(&self, path: &str) -> String {
        format!("/{}/{path}", self.session.door)
    }

    /// Who decides here.
    pub(super) fn decider(&self) -> Decider {
        Decider::Console(self.session.id.clone())
    }

    /// The embedded mail service, and the operator's key to it.
    pub(super) fn mail(&self) -> Option<(&Api, ApiKey)> {
        Some((self.rooms.parts.mail.as_deref()?, ApiKey::operator()))
    }

    /// Puts on record what is about to be done. Nothing may be done unless this is on disk.
    pub(super) async fn record(&self, command: &'static str, mut about: Value) -> Result<(), Failure> {
        if let Some(about) = about.as_object_mut() {
            about.insert("by".to_owned(), self.decider().to_string().into());
        }
        self.rooms.parts.oversight.record(Entry::Operator { command, about }).await?;
        Ok(())
    }

    /// Goes to a page that first tells how it went.
    pub(super) fn tell(&self, path: &str, went: Result<String, Failure>) -> Response {
        let said = match went {
            Ok(text) => Said { done: true, text, secret: None },
            Err(failure) => Said { done: false, text: failure.to_string(), secret: None },
        };
        self.session.say(said);
        Redirect::to(&self.to(path)).into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or_else(|| refused(StatusCode::FORBIDDEN, "Log in first."))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let form = parts.extensions.get::<Self>().cloned();
        form.ok_or_else(|| refused(StatusCode::FORBIDDEN, "The form was not read."))
    }
}

/// What stands behind the `?` of a page.
#[derive(Clone, Default)]
pub(super) struct Asked(Form);

impl Asked {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Ok(Self(Form::read(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}
