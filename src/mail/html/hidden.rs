//! Which elements a reader of HTML does not see, so that nobody can talk to a model past the person.
//!
//! Only what stands at the element itself is looked at: `hidden`, `aria-hidden`, and its inline style, which is all that
//! most mail has. A style sheet is not read, so a class can still hide; what is let through that way is fenced like all mail.

use html5gum::StartTag;

use super::flatten::attribute;

/// Sizes below this are not read by anybody, in CSS pixels.
const READABLE_PIXELS_MIN: f64 = 2.0;
/// Shifted further than this, in CSS pixels, it is off any screen.
const OFF_SCREEN_PIXELS: f64 = 500.0;
/// Colours closer than this, added up over the three channels of 0 to 255, look the same.
const CONTRAST_MIN: u32 = 48;

/// A colour's red, green and blue.
pub(super) type Colour = [u8; 3];

/// What a text stands on; none where that is a picture.
pub(super) type Ground = Option<Colour>;

/// What an element without a background of its own stands on.
pub(super) const PAPER: Ground = Some([255; 3]);

/// What a reader makes of `tag`, which stands on `ground`.
pub(super) fn look(tag: &StartTag<()>, ground: Ground) -> Look {
    if tag.attributes.is_empty() {
        return Look::Seen(ground);
    }
    let style = attribute(tag, b"style").unwrap_or_default().to_ascii_lowercase();
    let declared: Vec<(&str, &str)> = style
        .split(';')
        .filter_map(|declaration| declaration.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim().trim_end_matches("!important").trim()))
        .collect();
    let value = |wanted: &str| declared.iter().rev().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    let said = |name: &[u8]| attribute(tag, name).map(|value| value.trim().to_ascii_lowercase());

    let picture = |name| value(name).is_some_and(|value| value.contains("url(") || value.contains("gradient"));
    let own = value("background-color").or_else(|| value("background")).map(str::to_owned).or_else(|| said(b"bgcolor"));
    let ground = if picture("background") || picture("background-image") || said(b"background").is_some() {
        None
    } else {
        own.and_then(|own| colour(&own)).or(ground)
    };
    let ink = value("color").map(str::to_owned).or_else(|| said(b"color"));
    let small = |name| value(name).and_then(pixels).is_some_and(|size| size < READABLE_PIXELS_MIN);
    let cut = value("overflow").is_some_and(|overflow| overflow.starts_with("hidden"));
    let far = |name| value(name).and_then(pixels).is_some_and(|at| at.abs() >= OFF_SCREEN_PIXELS);
    let placed = value("position").is_some_and(|position| position == "absolute" || position == "fixed");

    let hidden = tag.attributes.contains_key(b"hidden".as_slice())
        || said(b"aria-hidden").is_some_and(|hidden| hidden == "true")
        || value("display").is_some_and(|display| display.starts_with("none"))
        || value("visibility").is_some_and(|seen| seen == "hidden" || seen == "collapse")
        || value("opacity").and_then(|opacity| opacity.parse::<f64>().ok()).is_some_and(|opacity| opacity < 0.05)
        || value("mso-hide").is_some_and(|hide| hide == "all")
        || small("font-size")
        || (cut && ["height", "width", "max-height", "max-width"].into_iter().any(small))
        || far("text-indent")
        || (placed && ["left", "top", "right", "bottom"].into_iter().any(far))
        || (placed && (value("clip").is_some() || value("clip-path").is_some()))
        || ["margin-left", "margin-top"]
            .into_iter()
            .any(|name| far(name) && value(name).is_some_and(|at| at.starts_with('-')))
        || ink.is_some_and(|ink| ink == "transparent" || same(colour(&ink), ground));
    if hidden { Look::Hidden } else { Look::Seen(ground) }
}

/// What a reader makes of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing.
    Hidden,
    /// Its text is seen, on this background.
    Seen(Ground),
}

fn same(ink: Option<Colour>, ground: Ground) -> bool {
    let (Some(ink), Some(ground)) = (ink, ground) else { return false };
    ink.iter().zip(ground).map(|(a, b)| u32::from(a.abs_diff(b))).sum::<u32>() < CONTRAST_MIN
}

/// A length in CSS pixels, from its number and the units that mail uses; what is relative counts as if a letter had 16.
fn pixels(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some(match text[end..].trim() {
        "pt" => number * 4.0 / 3.0,
        "em" | "rem" | "ex" | "ch" => number * 16.0,
        "%" | "vw" | "vh" => number * 0.16,
        _ => number,
    })
}

/// A colour in the spellings that mail uses; none of another.
fn colour(text: &str) -> Option<Colour> {
    let text = text.trim();
    if let Some(digits) = text.strip_prefix('#') {
        let digit = |at: usize| digits.get(at..=at).and_then(|digit| u8::from_str_radix(digit, 16).ok());
        let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        return match digits.len() {
            3 | 4 => Some([digit(0)? * 17, digit(1)? * 17, digit(2)? * 17]),
            6 | 8 => Some([pair(0)?, pair(2)?, pair(4)?]),
            _ => None,
        };
    }
    if let Some(inside) = text.strip_prefix("rgb").and_then(|rest| rest.split_once('(')).map(|(_, inside)| inside) {
        let mut parts = inside.split([',', ' ', '/', ')']).filter(|part| !part.is_empty());
        let mut channel = || parts.next()?.parse::<u8>().ok();
        return Some([channel()?, channel()?, channel()?]);
    }
    match text.split([' ', ',']).next()? {
        "white" => Some([255; 3]),
        "snow" | "ivory" | "ghostwhite" | "floralwhite" | "mintcream" | "azure" => Some([250; 3]),
        "whitesmoke" => Some([245; 3]),
        "black" => Some([0; 3]),
        _ => None,
    }
}
