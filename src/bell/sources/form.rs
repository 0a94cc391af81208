//! A form as HTML's browsers and mail providers post it: URL-encoded, or multipart (RFC 7578). Files are read over.

use futures::FutureExt as _;
use multer::{Constraints, Multipart, SizeLimit};

use super::{Malformed, RawRequest};

/// Fields of a form at most; a message with a hundred attachments has some three hundred.
const FIELDS_MAX: usize = 1_000;
/// Bytes of the fields that are kept; the text of a message is among them.
const FIELDS_BYTES_MAX: usize = 64 << 20;

/// The fields of a form, in their order.
#[derive(Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// The form in the request's body.
    pub(super) fn read(request: &RawRequest) -> Result<Self, Malformed> {
        let kind = request.header("content-type").next().unwrap_or_default();
        match multer::parse_boundary(kind) {
            Ok(boundary) => multipart(&request.body, boundary),
            Err(_) if kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") => {
                let fields = url::form_urlencoded::parse(&request.body).take(FIELDS_MAX);
                Ok(Self(fields.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()))
            }
            Err(_) => Err(Malformed(
                "the body must be a form: multipart/form-data with a boundary, or application/x-www-form-urlencoded"
                    .into(),
            )),
        }
    }

    /// The first field of that name, whatever the case of its letters; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(one, value)| one.eq_ignore_ascii_case(name) && !value.trim().is_empty());
        found.map(|(_, value)| value.trim())
    }
}

fn multipart(body: &[u8], boundary: String) -> Result<Form, Malformed> {
    let limits = SizeLimit::new().whole_stream(u64::MAX);
    let stream = futures::stream::iter([Ok::<_, std::convert::Infallible>(body.to_vec())]);
    let mut parts = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(limits));
    let broken = || Malformed("the body must be multipart/form-data as its boundary says".into());
    let (mut fields, mut bytes) = (Vec::new(), 0_usize);
    // The whole body is there, so nothing is ever waited for.
    while let Some(part) = parts.next_field().now_or_never().ok_or_else(broken)?.map_err(|_| broken())? {
        let name = part.name().map(str::to_owned);
        let is_file = part.file_name().is_some();
        let value = part.bytes().now_or_never().ok_or_else(broken)?.map_err(|_| broken())?;
        let Some(name) = name.filter(|_| !is_file) else { continue };
        bytes = bytes.saturating_add(value.len());
        if fields.len() >= FIELDS_MAX || bytes > FIELDS_BYTES_MAX {
            return Err(Malformed(format!("a form must have at most {FIELDS_MAX} fields")));
        }
        fields.push((name, String::from_utf8_lossy(&value).into_owned()));
    }
    Ok(Form(fields))
}

/// The headers of a message as text, folded lines joined: name and value.
pub(super) fn headers(text: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value))) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            _ => {}
        }
    }
    headers
}
