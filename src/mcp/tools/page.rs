//! A page of a list: how it is asked for, and how one that is read whole is cut.

use super::{
    super::{
        arguments::{Kind, Parameter},
        present::{self, Clip, Fenced, Part},
    },
    Call, Output,
};

/// How a list takes a page; `about_limit` tells its default.
pub(super) const fn parameters(limit_max: u64, about_limit: &'static str) -> [Parameter; 2] {
    [
        Parameter::new("limit", Kind::Number(1, limit_max), about_limit),
        Parameter::new("cursor", Kind::Text, "of the page before"),
    ]
}

/// What a list of `name` answers with.
pub(super) const fn output(name: &'static str) -> [Output; 2] {
    [Output(name, "objects", true), Output("cursor", "string", false)]
}

/// What is shown of a list.
pub(super) struct Page {
    pub(super) items: Vec<Part>,
    /// Stands behind the last item shown; none at the end.
    pub(super) cursor: Option<Fenced>,
}

/// The page that `call` asks for of a list that is sorted by `key` and read anew each time: nothing is kept between calls,
/// so the cursor is the key of the last item shown.
pub(super) fn of_whole<T>(
    call: &Call,
    mut items: Vec<T>,
    limit_default: u64,
    key: impl Fn(&T) -> &str,
    view: impl Fn(&T, Clip) -> Part,
) -> Page {
    let Call { arguments, fence, .. } = call;
    if let Some(cursor) = arguments.text("cursor") {
        items.retain(|item| key(item) > cursor);
    }
    let limit = usize::try_from(arguments.number("limit").unwrap_or(limit_default)).unwrap_or(usize::MAX);
    let shown = present::fit(fence, &items[..limit.min(items.len())], view).items;
    let last = shown.len().checked_sub(1).filter(|_| shown.len() < items.len());
    Page { cursor: last.map(|last| fence.code(key(&items[last]))), items: shown }
}
