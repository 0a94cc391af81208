//! How much of a message is read. What lies beyond is still stored, raw.

/// Header fields of one part. Haraka takes as many; real mail has under 200.
pub const HEADER_FIELDS_MAX: usize = 1_000;
/// The header block of one part, in bytes: 256 KiB. Postfix takes 100 KiB.
pub const HEADER_BYTES_MAX: usize = 256 * 1024;
/// Parts within parts. Real mail has under 10, Postfix takes 100.
pub const DEPTH_MAX: usize = 50;
/// Parts of a message, multiparts included.
pub const PARTS_MAX: usize = 500;
/// HTML that is turned into text, in bytes: 1 MiB, of a message's parts together.
pub const HTML_BYTES_MAX: usize = 1 << 20;
/// Text that is kept, in bytes: 1 MiB, some 500 pages.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Addresses that are kept of To, and of Cc: as many as the largest list that a webhook of 1 MiB carries with ease.
pub const ADDRESSES_MAX: usize = 200;
/// The longest subject, name and address that are kept, in characters: RFC 5322's longest line.
pub const LINE_CHARS_MAX: usize = 998;
/// The longest file name that is kept, in characters: what file systems take.
pub const FILE_NAME_CHARS_MAX: usize = 255;
