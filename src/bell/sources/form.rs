//! A form as HTML's browsers and mail providers post it: URL-encoded, or multipart (RFC 7578). Files are read over, unless
//! they are asked for.

use futures::FutureExt as _;
use multer::{Constraints, Multipart, SizeLimit};

use super::{CarriedFile, Malformed, RawRequest};

/// Fields of a form at most; a message with a hundred attachments has some three hundred.
const FIELDS_MAX: usize = 1_000;
/// Bytes of the fields that are kept; the text of a message is among them.
const FIELDS_BYTES_MAX: usize = 64 << 20;

/// The fields of a form, in their order.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Vec<Field>,
    files: Vec<CarriedFile>,
}

#[derive(Debug)]
struct Field {
    name: String,
    text: String,
    /// The bytes, where they are no UTF-8.
    bytes: Option<Vec<u8>>,
}

impl Form {
    /// The form in the request's body.
    pub(super) fn read(request: &RawRequest) -> Result<Self, Malformed> {
        Self::parse(request, false)
    }

    /// The same with its files.
    pub(super) fn with_files(request: &RawRequest) -> Result<(Self, Vec<CarriedFile>), Malformed> {
        let mut form = Self::parse(request, true)?;
        let files = std::mem::take(&mut form.files);
        Ok((form, files))
    }

    fn parse(request: &RawRequest, with_files: bool) -> Result<Self, Malformed> {
        let kind = request.header("content-type").next().unwrap_or_default();
        match multer::parse_boundary(kind) {
            Ok(boundary) => multipart(&request.body, boundary, with_files),
            Err(_) if kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") => {
                let fields = url::form_urlencoded::parse(&request.body).take(FIELDS_MAX);
                let field = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| Field {
                    name: name.into_owned(),
                    text: value.into_owned(),
                    bytes: None,
                };
                Ok(Self { fields: fields.map(field).collect(), files: Vec::new() })
            }
            Err(_) => Err(Malformed(
                "the body must be a form: multipart/form-data with a boundary, or application/x-www-form-urlencoded"
                    .into(),
            )),
        }
    }

    /// The first field of that name, whatever the case of its letters; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.field(name).map(|field| field.text.trim())
    }

    /// The same to the byte.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.field(name).map(|field| field.bytes.as_deref().unwrap_or(field.text.as_bytes()))
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name) && !field.text.trim().is_empty())
    }
}

fn multipart(body: &[u8], boundary: String, with_files: bool) -> Result<Form, Malformed> {
    let limits = SizeLimit::new().whole_stream(u64::MAX);
    let stream = futures::stream::iter([Ok::<_, std::convert::Infallible>(body.to_vec())]);
    let mut parts = Multipart::with_constraints(stream, boundary, Constraints::new().size_limit(limits));
    let broken = || Malformed("the body must be multipart/form-data as its boundary says".into());
    let (mut form, mut bytes) = (Form::default(), 0_usize);
    // The whole body is there, so nothing is ever waited for.
    while let Some(part) = parts.next_field().now_or_never().ok_or_else(broken)?.map_err(|_| broken())? {
        let name = part.name().map(str::to_owned);
        let file = part.file_name().map(str::to_owned);
        let kind = part.content_type().map(ToString::to_string);
        let value = part.bytes().now_or_never().ok_or_else(broken)?.map_err(|_| broken())?;
        if let Some(file) = file {
            if with_files && form.files.len() < FIELDS_MAX {
                form.files.push(CarriedFile::whole(Some(&file), kind.as_deref(), value.to_vec()));
            }
            continue;
        }
        let Some(name) = name else { continue };
        bytes = bytes.saturating_add(value.len());
        if form.fields.len() >= FIELDS_MAX || bytes > FIELDS_BYTES_MAX {
            return Err(Malformed(format!("a form must have at most {FIELDS_MAX} fields")));
        }
        let text = String::from_utf8_lossy(&value);
        let lossy = matches!(text, std::borrow::Cow::Owned(_)).then(|| value.to_vec());
        form.fields.push(Field { name, text: text.into_owned(), bytes: lossy });
    }
    Ok(form)
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
